"""What the SDKs of Label Studio and Argilla say of a folder of our exports; runs where they are installed.

`python exchange_tools.py label-studio FOLDER` or `argilla FOLDER`. Checks the files that `andon export` wrote, lets the
SDK hold answers against them, and writes answers as the tool exports them to answers.json, Argilla's flattened as well
to flat.json. Prints what was checked as
JSON; whatever the SDK refuses is a failed assertion. No server is asked: Argilla's SDK logs in before it does anything,
so that one call is answered here.
"""

import json
import sys
import uuid
from pathlib import Path
from typing import Any


def label_studio(folder: Path) -> dict[str, Any]:
    from label_studio_sdk.label_interface import LabelInterface

    interface = LabelInterface((folder / "labeling-config.xml").read_text(encoding="utf-8"))
    interface.validate()
    tasks = [task for file in sorted(folder.glob("tasks-*.json")) for task in json.loads(file.read_text("utf-8"))]
    exported = []
    for number, task in enumerate(tasks):
        assert interface.validate_task(task), task
        results = answered(sorted(control.name for control in interface.controls), len(task["data"]["items"]), number)
        errors = interface.validate_prediction({"result": results}, return_errors=True)
        assert errors == [], errors
        wrong = [result | {"value": {"choices": ["option_99"]}} for result in results if result["type"] == "choices"]
        assert not wrong or interface.validate_prediction({"result": wrong}, return_errors=True), "it accepts anything"
        annotation = {"completed_by": 1, "lead_time": 4.5, "was_cancelled": False, "result": results}
        exported.append(task | {"id": number, "annotations": [annotation]})
    (folder / "answers.json").write_text(json.dumps(exported), encoding="utf-8")
    return {"tasks": len(tasks), "controls": sorted(control.name for control in interface.controls)}


def answered(controls: list[str], count: int, number: int) -> list[dict[str, Any]]:
    """Answer every control of the config, each question in a way of its own."""
    options = [f"option_{(position + number) % count}" for position in range(count)]
    places = {"place_1": options[:2], "place_2": options[2:], "_": []}
    values: dict[str, tuple[str, str, dict[str, Any]]] = {
        "best": ("choices", "query", {"choices": [options[0]]}),
        "ranking": ("ranker", "samples", {"ranker": places}),
        "flags": ("choices", "query", {"choices": ["stop_run"]}),
        "confidence": ("rating", "query", {"rating": 7}),
    }
    results = []
    for name in controls:
        if name == "skip":
            continue
        said: tuple[str, str, dict[str, Any]] = ("textarea", "query", {"text": [f"{name} {number}"]})
        if "_option_" in name:
            said = ("rating", "query", {"rating": 1 + (number + len(name) + int(name[-1:])) % 7})
        kind, to_name, value = values.get(name, said)
        results.append({"from_name": name, "to_name": to_name, "type": kind, "value": value})
    return results


def argilla(folder: Path) -> dict[str, Any]:
    import argilla as rg
    from argilla.records._io import GenericIO  # what `dataset.records.to_list` calls once it has asked the server

    client = logged_in(rg)
    made = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    settings = rg.Settings(
        guidelines=made["guidelines"],
        fields=[rg.TextField(**field) for field in made["fields"]],
        questions=[question_of(rg, **question) for question in made["questions"]],
        metadata=[rg.TermsMetadataProperty(name=each["name"]) for each in made["metadata"]],
    )
    settings.validate()
    dataset = rg.Dataset(name="andon", settings=settings, client=client)
    records = [json.loads(line) for line in (folder / "records.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]
    user, exported = uuid.UUID(int=7), []
    for number, record in enumerate(records):
        names = [name for name in record["fields"] if name.startswith("option_")]
        said = {question["name"]: value_of(question, names, number) for question in made["questions"]}
        responses = [rg.Response(name, value, user, "submitted") for name, value in said.items() if value is not None]
        whole = rg.Record(**record, responses=responses, _dataset=dataset)
        whole.api_model().model_dump_json()
        exported.append(whole)
    for name, flatten in (("answers.json", False), ("flat.json", True)):
        (folder / name).write_text(json.dumps(GenericIO.to_list(exported, flatten=flatten)), encoding="utf-8")
    return {"records": len(records), "questions": sorted(question["name"] for question in made["questions"])}


def logged_in(rg: Any) -> Any:
    """Return a client of Argilla that knows who it is and reaches nothing else."""
    import httpx

    me = {"id": str(uuid.UUID(int=7)), "username": "ann", "role": "owner", "first_name": "Ann"}
    me |= {"inserted_at": "2026-01-01T00:00:00", "updated_at": "2026-01-01T00:00:00"}
    only_me = httpx.MockTransport(lambda asked: httpx.Response(200 if asked.url.path == "/api/v1/me" else 501, json=me))
    return rg.Argilla(api_url="http://offline.invalid", api_key="none", mounts={"all://": only_me})


def question_of(rg: Any, type: str, **rest: Any) -> Any:
    kinds = {
        "label": rg.LabelQuestion,
        "multi_label": rg.MultiLabelQuestion,
        "ranking": rg.RankingQuestion,
        "rating": rg.RatingQuestion,
        "text": rg.TextQuestion,
    }
    return kinds[type](**rest)


def value_of(question: dict[str, Any], names: list[str], number: int) -> Any:
    if question["name"] == "skip":
        return None
    turned = [names[(position + number) % len(names)] for position in range(len(names))]
    return {
        "label": turned[0],
        "multi_label": ["stop_run"],
        "ranking": turned,
        "rating": question.get("values", [0])[-1],
        "text": f"{question['name']} {number}",
    }[question["type"]]


if __name__ == "__main__":
    print(json.dumps({"label-studio": label_studio, "argilla": argilla}[sys.argv[1]](Path(sys.argv[2]))))
