"""Formats of others: what we write says the same as our Parquet, and what their tools export comes back as answers."""

import csv
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from data.batches.index import read_batch
from data.batches.schema import Question, Sample, blind, write_parts
from data.campaign.settings import Ask
from data.errors import Refused
from data.exchange.formats import argilla, label_studio
from data.exchange.labeled import Labeled
from data.exchange.publishing import in_format
from data.exchange.questions import Questions, ShownQuestion
from data.exchange.registry import label_writers, question_writers
from data.ingest.parse import parse_rows
from data.ingest.reader import open_answers
from data.store import LocalStore
from data.store.manifest import publish

TEXTS = ['=HYPERLINK("http://x")', 'a, "quoted"\nline', "naïve 日本 🙂", "<b>&amp;</b>", "plain", "+1", "x\ty", "last"]


@pytest.fixture
def questions(tmp_path: Path) -> Questions:
    made = [
        Question(f"q{n}", f"Query {n}, {TEXTS[n]}", [1], tuple(Sample(f"{t} {n}", [2], "p") for t in TEXTS[:4]))
        for n in range(8)
    ]
    table, _ = blind(made, "Which is <best>?", b"secret")
    return Questions([path for _, path in write_parts(table, tmp_path)])


def read_back(name: str, files: list[Path]) -> list[ShownQuestion]:
    """Read our own exports the way their tools would."""
    if name == "csv":
        with files[0].open(encoding="utf-8", newline="") as file:
            rows: list[dict[str, Any]] = list(csv.DictReader(file))
        plain = {key: value.removeprefix("'") for row in rows for key, value in row.items()}
        assert plain
        return [
            ShownQuestion(
                row["question_id"],
                row["content_sha256"],
                row["instructions"],
                row["query"].removeprefix("'"),
                [row[f"option_{n}"].removeprefix("'") for n in range(4)],
            )
            for row in rows
        ]
    if name == "parquet":
        return list(Questions(files))
    if name == "jsonl":
        return [ShownQuestion(**json.loads(line)) for line in files[0].read_text(encoding="utf-8").splitlines()]
    if name == "label-studio":
        tasks = [task["data"] for file in files[1:] for task in json.loads(file.read_text(encoding="utf-8"))]
        return [
            ShownQuestion(t["question_id"], t["content_sha256"], "", t["query"], [i["body"] for i in t["items"]])
            for t in tasks
        ]
    records = [json.loads(line) for line in files[1].read_text(encoding="utf-8").splitlines()]
    return [
        ShownQuestion(
            r["id"],
            r["metadata"]["content_sha256"],
            "",
            r["fields"]["query"],
            [r["fields"][f"option_{n}"] for n in range(4)],
        )
        for r in records
    ]


@pytest.mark.parametrize("name", question_writers())
def test_every_format_shows_the_same_texts_in_the_same_order(name: str, questions: Questions, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    found = read_back(name, question_writers()[name](questions, tmp_path / name))
    assert [s[:2] + s[3:] for s in found] == [s[:2] + s[3:] for s in questions]


def test_a_spreadsheet_is_given_no_formula(questions: Questions, tmp_path: Path) -> None:
    (file,) = question_writers()["csv"](questions, tmp_path)
    with file.open(encoding="utf-8", newline="") as rows:
        assert not [cell for row in csv.reader(rows) for cell in row if cell.startswith(("=", "+", "-", "@", "\t"))]


def test_the_labeling_config_is_xml_and_escapes_what_we_ask(questions: Questions) -> None:
    from xml.etree import ElementTree

    first = next(iter(questions))
    view = ElementTree.fromstring(label_studio.config(first, Ask()))
    assert view.find("Header").attrib["value"] == "Which is <best>?"  # type: ignore[union-attr]
    chosen = [choice.attrib["alias"] for choice in view.findall("Choices[@name='best']/Choice")]
    assert chosen == ["option_0", "option_1", "option_2", "option_3", "skip"]


def test_the_labeling_config_asks_what_the_campaign_asks(questions: Questions) -> None:
    from xml.etree import ElementTree

    def asked(ask: Ask) -> set[str]:
        view = ElementTree.fromstring(label_studio.config(questions.first(), ask))
        controls = {tag.attrib["name"] for tag in view.iter() if "toName" in tag.attrib}
        named = {q["name"] for q in argilla.settings(questions.first(), ask)["questions"]}
        assert controls == named, "both tools are told to ask the same"
        return controls - {"confidence", "note", "flags"}

    assert asked(Ask()) == {"best"}
    assert asked(Ask(kind="ranking", critique=True)) == {"ranking", "skip", "critique"}
    rated = asked(Ask(kind="ratings", axes=("overall", "coverage"), correction=True))
    assert rated == {"skip", "correction"} | {f"{a}_option_{n}" for a in ("overall", "coverage") for n in range(4)}


def test_a_batch_in_a_format_asks_what_its_campaign_asked(questions: Questions, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    files: dict[str, Path | bytes] = {"questions-0001-a.parquet": questions.files[0]}
    facts = {"batch": "b1", "campaign": {"ask": {"kind": "ranking"}}}
    made = {"inputs": {}, "facts": facts, "began": datetime.now(UTC)}
    publish(store, "campaigns/c/batches/b1", "batch", files, **made)  # type: ignore[arg-type]
    batch = read_batch(store, "c", "b1")
    assert batch is not None
    published = in_format(batch, "label-studio")
    assert published.names() == ["labeling-config.xml", "tasks-0001.json"]
    assert "<Ranker" in published.path("labeling-config.xml").read_text(encoding="utf-8")
    assert in_format(batch, "label-studio").manifest == published.manifest, "once"


def exported(question: ShownQuestion, **annotation: Any) -> dict[str, Any]:
    """One task as Label Studio's full JSON export has it."""
    return label_studio.task(question) | {"id": 7, "annotations": [{"id": 1, "was_cancelled": False, **annotation}]}


def rows_of(path: Path, content: object) -> list[dict[str, Any]]:
    path.write_text(json.dumps(content), encoding="utf-8")
    return answered(path)


def answered(path: Path) -> list[dict[str, Any]]:
    """Return what was read of a file, without what it does not say."""
    rows = [row for part in open_answers(path).chunks for row in part.columns.to_pylist()]
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


CHOICE = {"from_name": "best", "to_name": "query", "type": "choices", "value": {"choices": ["option_2"]}}
TIE = CHOICE | {"value": {"choices": ["tie"]}}
RANKED = {"from_name": "rank", "type": "ranker", "value": {"ranker": {"rank": ["option_3", "option_0"]}}}
OWN_NAME = {"from_name": "mine", "type": "ranker", "value": {"ranker": {"mine": ["option_3", "option_0"]}}}
BARE_LIST = {"from_name": "rank", "type": "ranker", "value": {"ranker": ["option_1", "option_0"]}}
PLACES = {"place_10": ["option_2"], "place_2": ["option_1", "option_0"], "place_1": [], "_": ["option_3"]}
IN_PLACES = {"from_name": "ranking", "type": "ranker", "value": {"ranker": PLACES}}
PAIRWISE = {"from_name": "comparison", "type": "pairwise", "value": {"selected": "right"}}


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (CHOICE, {"best": "2"}),
        (TIE, {"ranking": "[[0, 1, 2, 3]]"}),
        (RANKED, {"ranking": "[[3], [0]]"}),
        (OWN_NAME, {"ranking": "[[3], [0]]"}),
        (BARE_LIST, {"ranking": "[[1], [0]]"}),
        (IN_PLACES, {"ranking": "[[1, 0], [2]]"}),
    ],
)
def test_what_label_studio_exports_becomes_an_answer(
    result: dict[str, Any], said: dict[str, str], questions: Questions, tmp_path: Path
) -> None:
    question = questions.first()
    rating = {"from_name": "confidence", "type": "rating", "value": {"rating": 8}}
    note = {"from_name": "note", "type": "textarea", "value": {"text": ["fine"]}}
    given_by = {"completed_by": {"id": 3, "email": "ann@x.org"}, "lead_time": 12.5}
    (row,) = rows_of(tmp_path / "a.json", [exported(question, result=[result, rating, note], **given_by)])
    assert row == said | {
        "question_id": question.question_id,
        "content_sha256": question.content_sha256,
        "labeler_id": "ann@x.org",
        "seconds": "12.5",
        "confidence": "8",
        "note": "fine",
    }


def test_a_side_of_a_pair_is_an_option_where_there_are_two(questions: Questions, tmp_path: Path) -> None:
    of_four = questions.first()
    of_two = of_four._replace(options=of_four.options[:2])
    tasks = [exported(question, completed_by=1, result=[PAIRWISE]) for question in (of_two, of_four)]
    assert [row["best"] for row in rows_of(tmp_path / "a.json", tasks)] == ["1", "right"], "the second is no integer"


def test_a_question_of_the_vendors_own_is_no_answer_to_ours(questions: Questions, tmp_path: Path) -> None:
    own = CHOICE | {"from_name": "readable", "value": {"choices": ["option_0"]}}
    renamed = CHOICE | {"from_name": "mine"}
    given: list[list[dict[str, Any]]] = [[CHOICE, own], [own, CHOICE], [RANKED, own], [renamed]]
    tasks = [exported(questions.first(), completed_by=1, result=results) for results in given]
    found = rows_of(tmp_path / "a.json", tasks)
    assert [row.get("best") for row in found] == ["2", "2", None, "2"] and found[2]["ranking"] == "[[3], [0]]"
    (row,) = rows_of(tmp_path / "a.json", [exported(questions.first(), completed_by=1, result=[renamed, own])])
    assert row["best"].startswith("unreadable: "), "two that could be the answer"


ODD_IN_LABEL_STUDIO: list[dict[str, Any]] = [
    {"annotations": [5]},
    {"annotations": {"a": 1}},
    {"annotations": 7},
    {"data": "x"},
    *(
        {"annotations": [{"id": 1, "completed_by": 1, "result": result}]}
        for result in (
            ["x"],
            7,
            [CHOICE | {"value": "option_2"}],
            [CHOICE | {"value": ["option_2"]}],
            [CHOICE | {"value": {"choices": {"a": 1}}}],
            [CHOICE | {"value": {"choices": "option_2"}}],
            [RANKED | {"value": {"ranker": 5}}],
            [RANKED | {"value": {"ranker": {"rank": 5}}}],
            [RANKED | {"value": {"ranker": {"place_1": 5}}}],
        )
    ),
]
BY_USER = {"user_id": "u", "status": "submitted", "values": {"best": {"value": "option_1"}}}
ODD_IN_ARGILLA: list[dict[str, Any]] = [
    {"responses": {"best": ["option_1"]}},
    {"responses": {"best": 5}},
    {"responses": ["x"]},
    {"responses": [BY_USER | {"values": "x"}]},
    {"responses": [BY_USER | {"values": {"best": "option_1"}}]},
    {"responses": {"best": [{"value": {"x": 1}, "user_id": "u"}]}},
    {"responses": {"ranking": [{"value": [{"value": "option_0"}], "user_id": "u"}]}},
    {"responses": [BY_USER], "metadata": ["x"]},
    {"responses": [BY_USER], "fields": [1]},
]


def judged(path: Path, content: object) -> list[dict[str, Any]]:
    path.write_text(json.dumps(content), encoding="utf-8")
    return [row for part in open_answers(path).chunks for row in parse_rows(part, path.name).to_pylist()]


@pytest.mark.parametrize("odd", ODD_IN_LABEL_STUDIO, ids=[str(number) for number in range(len(ODD_IN_LABEL_STUDIO))])
def test_one_odd_annotation_is_set_aside_with_all_of_it_and_harms_no_other(
    odd: dict[str, Any], questions: Questions, tmp_path: Path
) -> None:
    good = [exported(question, completed_by=1, result=[CHOICE]) for question in questions]
    good[3] |= odd
    found = judged(tmp_path / "a.json", good)
    (bad,) = [row for row in found if row["problem"]]
    assert len(found) == len(good) and bad["row"] == 4
    assert re.match("best is not an integer that could be an option: .unreadable: ", bad["problem"])
    given = json.loads(json.loads(bad["raw"])["best"].removeprefix("unreadable: "))
    annotations = good[3]["annotations"]
    assert given == (annotations[0] if isinstance(annotations, list) else [annotations])


@pytest.mark.parametrize("odd", ODD_IN_ARGILLA, ids=[str(number) for number in range(len(ODD_IN_ARGILLA))])
def test_one_odd_record_is_set_aside_and_harms_no_other(
    odd: dict[str, Any], questions: Questions, tmp_path: Path
) -> None:
    said = {"responses": {"best": [{"value": "option_2", "user_id": "u1"}]}}
    found = judged(
        tmp_path / "a.json",
        [argilla.record(question) | said for question in questions][:7]
        + [
            argilla.record(questions.first()) | odd,
            argilla.record(questions.first()) | {"responses": {"best": None}},
        ],
    )
    assert len(found) == 8, "what nobody answered is no row"
    (bad,) = [row for row in found if row["problem"]]
    assert bad["row"] == 8 and bad["problem"].startswith("best is not an integer") and json.loads(bad["raw"])["best"]


@pytest.mark.parametrize("page", [False, True])
def test_records_of_argillas_server_are_answers_by_user_with_times_in_utc(
    page: bool, questions: Questions, tmp_path: Path
) -> None:
    at = {"inserted_at": "2026-05-01T08:00:00"}
    responses = [
        {"id": "1", "values": {"best": {"value": "option_1"}, "note": {"value": "so"}}, "user_id": "u1"} | at,
        {"id": "2", "values": {}, "status": "discarded", "user_id": "u2"} | at,
        {"id": "3", "values": {"best": {"value": "option_3"}}, "status": "draft", "user_id": "u3"} | at,
    ]
    sent = argilla.record(questions.first())
    records = [sent | {"id": "3fa85f64", "external_id": sent["id"], "responses": responses}]
    first, second = rows_of(tmp_path / "a.json", {"items": records, "total": 1} if page else records)
    assert first == {
        "question_id": sent["id"],
        "content_sha256": sent["metadata"]["content_sha256"],
        "labeler_id": "u1",
        "best": "1",
        "note": "so",
        "answered_at": "2026-05-01T08:00:00+00:00",
    }
    assert (second["labeler_id"], second["skip"]) == ("u2", "true")


def test_columns_of_json_are_those_of_all_its_first_objects(questions: Questions, tmp_path: Path) -> None:
    ids = {"question_id": "q", "content_sha256": "c", "labeler_id": "a"}
    found = rows_of(tmp_path / "a.json", [ids | {"skip": True}, ids | {"best": 1, "team": "x"}])
    assert [(row.get("skip"), row.get("best")) for row in found] == [("true", None), (None, "1")]
    assert open_answers(tmp_path / "a.json").ignored == ["team"]
    found = rows_of(tmp_path / "a.json", [ids | {"best": 1}, ids | {"best": 2, "annotations": []}])
    assert [row["best"] for row in found] == ["1", "2"], "one odd key makes no file of ours another tool's"
    unanswered = label_studio.task(questions.first())
    answer = exported(questions.first(), completed_by=1, result=[CHOICE])
    assert [row["best"] for row in rows_of(tmp_path / "a.json", [unanswered, answer])] == ["2"]


def test_what_is_wrong_in_json_lines_is_named_by_its_row(tmp_path: Path) -> None:
    row = json.dumps({"question_id": "q", "content_sha256": "c", "labeler_id": "a", "best": 1})
    path = tmp_path / "a.jsonl"
    for broken, said in (('{"best": ', "Expecting value"), (row[:-1] + ', "best": 2}', "the key best is there twice")):
        path.write_text("\n".join([*[row] * 50, broken, row]))
        with pytest.raises(Refused, match=rf"a.jsonl: row 51 is not a whole JSON object \({said}\)"):
            answered(path)
    path.write_text(f'[{row}, {row[:-1]}, "best": 2}}]')
    with pytest.raises(Refused, match="the key best is there twice"):
        answered(path)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"ranker": {"good": ["option_1"], "bad": ["option_0"]}}, "ranking is not a list of groups"),
        ({"ranker": {"place_1": ["option_1"], "place_2": ["blog"]}}, "ranking has something other than positions"),
        ({"choices": ["Option Z"]}, "best is not an integer"),
        ({"choices": ["option_0", "option_1"]}, "best is not an integer"),
        ({"selected": "both"}, "best is not an integer"),
        ({"selected": ["left"]}, "best is not an integer"),
    ],
)
def test_what_cannot_be_read_without_guessing_is_quarantined_with_its_reason(
    result: dict[str, Any], reason: str, questions: Questions, tmp_path: Path
) -> None:
    given = {"from_name": "mine", "type": "any", "value": result}
    path = tmp_path / "a.json"
    path.write_text(json.dumps([exported(questions.first(), completed_by=1, result=[given])]), encoding="utf-8")
    (row,) = [row for part in open_answers(path).chunks for row in parse_rows(part, path.name).to_pylist()]
    assert row["problem"].startswith(reason)


def test_cancelled_and_skipped_annotations_are_skips(questions: Questions, tmp_path: Path) -> None:
    question = next(iter(questions))
    skip = CHOICE | {"value": {"choices": ["skip"]}}
    tasks = [
        exported(question, result=[CHOICE], was_cancelled=True, completed_by=1),
        exported(question, result=[skip], completed_by=2),
    ]
    assert [row["skip"] for row in rows_of(tmp_path / "a.json", tasks)] == ["true", "true"]


def test_what_argilla_exports_becomes_answers(questions: Questions, tmp_path: Path) -> None:
    question = next(iter(questions))
    record = {
        "id": question.question_id,
        "fields": {"query": question.query},
        "metadata": {"content_sha256": question.content_sha256},
        "responses": {
            "best": [
                {"value": "option_1", "user_id": "u1", "status": "submitted"},
                {"value": None, "user_id": "u2", "status": "discarded"},
            ],
            "confidence": [{"value": 5, "user_id": "u1", "status": "submitted"}],
        },
    }
    first, second = rows_of(tmp_path / "a.json", [record])
    assert (first["labeler_id"], first["best"], first["confidence"]) == ("u1", "1", "5")
    assert second["labeler_id"] == "u2" and second["skip"]


def test_a_flattened_export_of_argilla_tells_drafts_and_discarded_answers_apart(
    questions: Questions, tmp_path: Path
) -> None:
    sent = argilla.record(questions.first())
    flat = {"id": sent["id"], "status": "pending", "_server_id": None, **sent["fields"], **sent["metadata"]}
    said = {
        "best.responses": ["option_1", "option_2", "option_3"],
        "best.responses.users": ["u1", "u2", "u3"],
        "best.responses.status": ["submitted", "discarded", "draft"],
        "note.responses": ["so"],
        "note.responses.users": ["u1"],
        "note.responses.status": ["submitted"],
        "theirs.responses": None,
        "best.suggestion": "option_0",
    }
    cut = said | {"best.responses.users": ["u1"]}
    unanswered = flat | dict.fromkeys(said)
    found = judged(tmp_path / "a.json", [unanswered, flat | said, flat | cut])
    answer, skip, bad = found
    assert [row["question_id"] for row in found] == [sent["id"]] * 3
    assert (answer["labeler_id"], answer["best"], answer["note"], answer["problem"]) == ("u1", 1, "so", None)
    assert answer["content_sha256"] == sent["metadata"]["content_sha256"]
    assert (skip["labeler_id"], skip["skip"], skip["problem"]) == ("u2", True, None)
    assert "option_3" in bad["raw"] and "u1" in bad["raw"], "what does not belong together is set aside with all of it"


def test_flattened_ratings_of_argilla_are_by_axis_and_option(questions: Questions, tmp_path: Path) -> None:
    sent = argilla.record(questions.first())
    flat = {"id": sent["id"], "status": "pending", **sent["fields"], **sent["metadata"]}
    for option in range(4):
        name = f"overall_option_{option}.responses"
        flat |= {name: [option + 1], f"{name}.users": ["u1"], f"{name}.status": ["submitted"]}
    (row,) = rows_of(tmp_path / "a.json", [flat])
    assert json.loads(row["ratings"]) == {"overall": [1, 2, 3, 4]}


def test_a_ranking_from_argillas_server_keeps_its_ties_and_a_draft_is_no_answer(
    questions: Questions, tmp_path: Path
) -> None:
    ranks = [{"value": f"option_{n}", "rank": rank} for n, rank in enumerate((2, 1, 2, 4))]
    responses = [
        {"value": ranks, "user_id": "u1", "status": "submitted"},
        {"value": ranks, "user_id": "u2", "status": "draft"},
    ]
    record = argilla.record(questions.first()) | {"responses": {"ranking": responses}}
    (row,) = rows_of(tmp_path / "a.json", [record])
    assert (row["labeler_id"], row["ranking"]) == ("u1", "[[1], [0, 2], [3]]")


def test_json_lines_are_answers_and_other_json_is_refused(tmp_path: Path) -> None:
    row = {"question_id": "q", "content_sha256": "c", "labeler_id": "a", "best": 1}
    path = tmp_path / "answers.csv"  # whatever its name says
    path.write_text("\n".join([json.dumps(row)] * 3), encoding="utf-8")
    assert answered(path) == [row | {"best": "1"}] * 3
    for content, said in (("[1, 2]", "without objects"), ('[{"a": 1}]', "lacks the column"), ("[{", "not whole JSON")):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(Refused, match=said):
            answered(path)
    path.write_text('[{"annotation_id": 1, "annotator": 1, "question_id": "q", "best": "option_0"}]', encoding="utf-8")
    with pytest.raises(Refused, match="export JSON"):
        answered(path)
    path.write_text('[{"query": [1], "sample0": [2], "best": 0}]', encoding="utf-8")
    with pytest.raises(Refused, match="andon import"):
        answered(path)


LABELED = Labeled(
    [
        (
            {
                "query": "Q.",
                "query_tokens": [1, 2],
                "samples": [{"text": f"s{n}", "tokens": [n + 5]} for n in range(4)],
            },
            2,
        )
    ]
)


@pytest.mark.parametrize("name", ["trl", "trl-implicit", "hh-rlhf"])
def test_a_label_of_four_becomes_three_pairs_that_all_prefer_it(name: str, tmp_path: Path) -> None:
    label_writers()[name](LABELED, tmp_path / "pairs.jsonl")
    pairs = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    assert len(pairs) == 3 and all(pair["chosen"].endswith("s2") for pair in pairs)
    assert {pair["rejected"][-2:] for pair in pairs} == {"s0", "s1", "s3"}
    if name == "trl":
        assert pairs[0]["prompt"] + pairs[0]["chosen"] == "Q. s2"


def test_our_2019_file_comes_back_through_our_importer(tmp_path: Path) -> None:
    from data.exchange.formats.openai_2019 import read_published_labels

    label_writers()["openai2019"](LABELED, tmp_path / "offline.json")
    (label,) = read_published_labels(tmp_path / "offline.json")
    assert (label.query, label.samples, label.best) == ([1, 2], [[5], [6], [7], [8]], 2)
    assert len(json.loads((tmp_path / "offline.json").read_text())[0]["query"]) == 64
