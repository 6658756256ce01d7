"""Whole rounds through real Prefect flows, on a tiny model: published once, resumed where they stopped."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from prefect.settings import PREFECT_API_URL

from data.runs.champion import champion, promotion_log
from data.runs.registry import find_run
from data.store import LocalStore
from data.store.manifest import publish, read_manifest
from tests.support.command import Andon, files_of

pytestmark = [pytest.mark.flow, pytest.mark.usefixtures("prefect")]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]


def test_two_rounds_run_and_running_them_again_does_nothing(andon: Andon, tiny_toml: Path, tmp_path: Path) -> None:
    first = andon("round", tiny_toml)
    assert {"run", "policy", "report", "win_rate", "win_rate_ci", "reward_accuracy", "kl_nats_per_seq"} <= first.keys()
    assert first["labels"] == 24 and first["champion"]
    second = andon("round", tiny_toml)
    assert second["labels"] == 48 and second["run"] != first["run"] and second["champion"]

    store = LocalStore(tmp_path / "store")
    status = andon("status")["campaigns"][0]
    assert [turn["run"] for turn in status["rounds"]] == [first["run"], second["run"]]
    later = read_manifest(store, f"campaigns/sentiment/batches/{status['batches'][1]}")
    assert later is not None
    assert later.manifest["inputs"]["champion"] == first["run"], "round 2 samples from round 1's champion"
    key = pq.read_table(later.path("key/samples.parquet")).to_pylist()
    writers = [{sample["policy"] for sample in row["samples"]} for row in key]
    assert {len(policies) for policies in writers} == {1, 2}, "some questions are probes, with samples of both"

    from flows.batch_round import batch_round

    before = files_of(tmp_path / "store")
    assert batch_round(str(tiny_toml), str(tmp_path / "store"), round_number=1) == first["run"]
    assert batch_round(str(tiny_toml), str(tmp_path / "store"), round_number=2) == second["run"]
    assert files_of(tmp_path / "store") == before
    assert champion(store, "sentiment") == second["run"], "doing round 1 again does not bring its champion back"


def test_a_retrain_starts_from_the_base_and_depends_on_nothing_but_its_inputs(
    andon: Andon, first_run: str, tiny_toml: Path, tmp_path: Path
) -> None:
    one = andon("retrain", tiny_toml, "--seed", 5)
    store = LocalStore(tmp_path / "store")
    published = read_manifest(store, f"campaigns/sentiment/runs/{one['run']}")
    assert published is not None

    from tasks.runs import metrics_table

    before = files_of(tmp_path / "store")
    rebuilt = andon("rebuild", one["run"])
    assert rebuilt["weights"] == 3 and rebuilt["different"] == rebuilt["circumstances"] == []
    assert files_of(tmp_path / "store") == before, "it is trained anew, and beside the store"
    false = published.manifest["facts"] | {"run": "run-false", "seed": 6}
    files, inputs = {"x": b"x"}, published.manifest["inputs"]
    publish(store, "campaigns/sentiment/runs/run-false", "run", files, inputs=inputs, facts=false, began=NOW)
    refusal = andon("rebuild", "run-false", code=1)["message"]
    assert "did not come out the same: reward/head.safetensors" in refusal and "policy/model.safetensors" in refusal
    table = pq.read_table(published.path("metrics.parquet"))
    assert table.schema == metrics_table({}).schema and {"kl", "score", "loss"} <= set(table["name"].to_pylist())


def test_the_loop_by_hand_with_a_labeler_of_ones_own(andon: Andon, tiny_toml: Path, tmp_path: Path) -> None:
    sent = andon("export", tiny_toml, "--questions", 20)
    assert andon("export", tiny_toml, "--questions", 20) == sent, "exporting again changes nothing"
    (file,) = sent["vendor_files"]
    questions = pq.read_table(file).select(["question_id", "content_sha256"])
    answers = questions.append_column("labeler_id", [["me"] * 20]).append_column("best", [[1] * 20])
    pyarrow.csv.write_csv(answers, tmp_path / "answers.csv")
    assert andon("status")["campaigns"][0]["rounds"][0]["waits_for"] == "labels"
    done = andon("ingest", tiny_toml, tmp_path / "answers.csv")
    assert (done["accepted"], done["quarantined"], done["duplicates"]) == (20, 0, 0) and done["label_set"]
    tiny_toml.write_text(tiny_toml.read_text().replace("temperature = 0.7", "temperature = 0.8"))
    for command in ("retrain", "round"):
        refusal = andon(command, tiny_toml, code=1)["message"]
        assert "text.temperature was 0.7, and is 0.8" in refusal and "--despite" in refusal
    assert len(list((tmp_path / "store/campaigns/sentiment/batches").iterdir())) == 1, "nothing is asked before that"
    run = andon("retrain", tiny_toml, "--despite", "hardly another question", "--by", "ann")
    assert run["labels"] == 20 and run["label_set"] == done["label_set"]
    changes = find_run(LocalStore(tmp_path / "store"), "sentiment", run["run"]).facts["changes"]
    assert changes is not None and (changes["reason"], changes["by"]) == ("hardly another question", "ann")

    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(run["policy"], trust_remote_code=False)
    tokenizer = AutoTokenizer.from_pretrained(run["policy"], trust_remote_code=False)
    assert model.config.vocab_size == len(tokenizer)
    assert Path(run["report"]).read_text().startswith("<!doctype html>")


def test_without_simulated_labelers_a_round_ends_with_the_export(andon: Andon, tiny_toml: Path) -> None:
    text = tiny_toml.read_text()
    tiny_toml.write_text(text.split("[labelers]")[0])
    waiting = andon("round", tiny_toml)
    assert (waiting["round"], waiting["waits_for"]) == (1, "labels")
    assert all(Path(file).is_file() for file in waiting["vendor_files"]) and waiting["vendor_files"]
    again = andon("round", tiny_toml, "--seed", 7, "--labels", 12)
    assert again == waiting, "what was asked is paid for: other settings ask nothing beside it"


def test_a_round_whose_labels_wait_for_a_decision_makes_no_run_of_older_ones(
    andon: Andon, first_run: str, tiny_toml: Path
) -> None:
    text = tiny_toml.read_text()
    tiny_toml.write_text(text.replace("count = 20", "count = 1", 1) + "\n[quality]\nwords_a_second = 0.001\n")
    refused = andon("round", tiny_toml, code=1)["message"]
    assert "wait for a decision: all its labelers are on hold" in refused and "andon decide sentiment r002-" in refused
    assert andon("status")["campaigns"][0]["runs"] == [first_run]


def test_promotion_and_rollback_are_entries_of_a_log(
    andon: Andon, first_run: str, tiny_toml: Path, tmp_path: Path
) -> None:
    first = first_run
    second = andon("retrain", tiny_toml, "--seed", 7)["run"]
    store = LocalStore(tmp_path / "store")
    assert champion(store, "sentiment") == second
    assert andon("rollback", tiny_toml, "--reason", "worse to read")["champion"] == first
    andon("retrain", tiny_toml, "--seed", 7)
    assert champion(store, "sentiment") == first, "a rolled back run is not promoted again by itself"
    assert andon("promote", tiny_toml, second, "--reason", "second thoughts")["changed"]
    assert andon("rollback", tiny_toml, "--reason", "no")["champion"] == first
    assert andon("rollback", tiny_toml, "--reason", "no")["champion"] is None
    assert "no champion" in andon("rollback", tiny_toml, "--reason", "no", code=1)["message"]
    assert [entry["kind"] for entry in promotion_log(store, "sentiment")] == [
        *("promote", "promote", "rollback", "promote", "rollback", "rollback")
    ]
    assert andon("evaluate", tiny_toml, second, "--queries", 12)["pairs"] == 12


def test_what_a_user_gets_wrong_is_one_line(andon: Andon, tiny_toml: Path, tmp_path: Path) -> None:
    def refused(*arguments: object) -> str:
        return str(andon(*arguments, code=1)["message"])

    assert "Shipped: " in refused("round", "sentimental")
    assert "no checkpoint folder ./nowhere" in refused("export", tiny_toml, "--base", "./nowhere")
    (tmp_path / "empty").mkdir()
    assert "cannot be loaded" in refused("export", tiny_toml, "--base", tmp_path / "empty")
    assert "no labels" in refused("retrain", tiny_toml)
    assert "no preset tiny" in refused("retrain", tiny_toml, "--preset", "tiny")
    (tmp_path / "a.csv").write_text("question_id,content_sha256,labeler_id,best\nq,h,me,1\n")
    assert "has no batch" in refused("ingest", tiny_toml, tmp_path / "a.csv")
    andon("export", tiny_toml, "--questions", 2)
    assert "answers no question" in refused("ingest", tiny_toml, tmp_path / "a.csv")
    assert "no format xml" in refused("export", tiny_toml, "--format", "xml")
    assert "no finished run" in refused("report", "run-x")
    assert "no finished run" in refused("promote", tiny_toml, "run-x", "--reason", "y")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(tiny_toml.read_text().replace("episodes", "epsiodes"))
    assert "policy.epsiodes" in refused("round", wrong)


def outcome(store: Path) -> dict[str, str]:
    """The hashes of all that training made, by step and file."""
    found: dict[str, str] = {}
    for manifest in store.glob("campaigns/sentiment/runs/*/*/manifest.json"):
        files = json.loads(manifest.read_text())["files"]
        found |= {f"{manifest.parent.name}/{name}": entry["sha256"] for name, entry in files.items()}
    return found


def killed_at_first(running: subprocess.Popen[bytes], store: Path, pattern: str) -> None:
    """Kill a process and all of its children as soon as a file appears in the store."""
    while not list(store.glob(pattern)):
        try:
            running.wait(timeout=0.02)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError("it ended before it could be killed")
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def test_training_killed_at_any_step_goes_on_to_the_same_bytes(answered: Path, tiny_toml: Path) -> None:
    killed, whole = answered.parent / "killed", answered.parent / "whole"
    # The server of the other tests serves these commands too: to start one for each command takes longer than the rest.
    environment = os.environ | {"PREFECT_API_URL": str(PREFECT_API_URL.value())}
    for copy in (killed, whole):
        shutil.copytree(answered, copy, ignore=shutil.ignore_patterns(".prefect"))

    def retrain(store: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "flows.cli", "retrain", str(tiny_toml), "--store", str(store)]
        return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)

    for step in ("reward/member-0", "policy"):
        killed_at_first(retrain(killed), killed, f"campaigns/*/runs/*/{step}/checkpoints/*/manifest.json")
    assert [retrain(store).wait() for store in (killed, whole)] == [0, 0]
    assert len(outcome(whole)) > 10 and outcome(killed) == outcome(whole)
    assert not list(killed.rglob("state.safetensors")), "what the checkpoints led to is published"


def test_training_in_two_processes_publishes_what_one_would(andon: Andon, answered: Path, tiny_toml: Path) -> None:
    one = andon("retrain", tiny_toml)
    for config in ("many-gpus.yaml", "sharded.yaml"):
        shutil.rmtree(next(answered.glob("campaigns/sentiment/runs/*")))
        two = andon("retrain", tiny_toml, "--launch", ROOT / "deploy" / "accelerate" / config)
        assert two["run"] == one["run"] and two["reward_accuracy"] == one["reward_accuracy"], config
        assert two["kl_nats_per_seq"] == pytest.approx(one["kl_nats_per_seq"], abs=0.05), config


def test_a_round_that_was_killed_goes_on_from_what_was_published(tiny_toml: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    command = [sys.executable, "-m", "flows.cli", "round", str(tiny_toml), "--store", str(store), "--json"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    killed = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert killed.stderr is not None
    for line in killed.stderr:
        if "policy: PPO" in line:
            os.killpg(killed.pid, signal.SIGKILL)  # and its ephemeral Prefect server with it
            break
    killed.wait()
    killed.stderr.close()
    (manifest,) = store.glob("campaigns/sentiment/runs/*/reward/manifest.json")
    published = manifest.read_bytes()
    assert not list(store.glob("campaigns/sentiment/runs/*/policy/manifest.json"))
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    result = json.loads(again.stdout.splitlines()[-1])
    assert "reward model: published" in again.stderr and result["run"] == manifest.parent.parent.name
    assert manifest.read_bytes() == published
    assert len(list(store.glob("campaigns/sentiment/labels/log/*"))) == 1


def test_a_batch_for_a_vendor_tells_answers_apart_and_what_was_found_can_be_followed(
    andon: Andon, tiny_toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of so few answers some orders of the options look like those of guessers: this one does not.
    monkeypatch.setattr("data.batches.publish.token_bytes", random.Random(1).randbytes)
    shares = 'probe_share = 0.5\noverlap_share = 0.5\ngold_share = 0.5\ngold = "sentiment-gold.jsonl"\n'
    tiny_toml.write_text(tiny_toml.read_text().replace("probe_share = 0.5\n", shares))
    sent = andon("export", tiny_toml, "--questions", 24, "--format", "label-studio", "--format", "csv")
    assert {Path(file).name for file in sent["vendor_files"][1:]} == {
        "labeling-config.xml",
        "tasks-0001.json",
        "questions.csv",
    }
    inverted = tiny_toml.with_name("inverted.toml")
    inverted.write_text(tiny_toml.read_text().replace('prefers = "positive"', 'prefers = "negative"', 1))
    refusal = andon("round", inverted, code=1)["message"]
    assert "answers look inverted" in refusal and "--despite" in refusal
    run = andon("round", tiny_toml)
    assert run["labels"] == 48, "24 questions and 24 copies; gold is not trained on"
    told = andon("explain", run["run"])
    assert {node["kind"] for node in told["made_from"]} == {"run", "label set", "file", "batch", "base"}
    written = andon("dataset", tiny_toml, "trl", tmp_path / "pairs.jsonl")
    assert written["labels"] == 48 and len((tmp_path / "pairs.jsonl").read_text().splitlines()) == 3 * 48
    foreseen = andon("plan", tiny_toml, "--labels", 500, "--price", 0.1, "--measure")
    assert foreseen["agreement_measured"] and foreseen["cost"] > 50
    assert [labels for labels, _, _ in foreseen["curve"]] == [6, 12, 24, 48] and foreseen["gained"]
    before = files_of(tmp_path / "store")
    assert andon("plan", tiny_toml, "--labels", 500, "--price", 0.1, "--measure") == foreseen
    assert files_of(tmp_path / "store") == before, "what was measured is not measured again"
    (batch,) = [node["id"] for node in told["made_from"] if node["kind"] == "batch"]
    assert andon("decide", tiny_toml, batch, "reject", "--reason", "a test")["status"] == "reject"
    assert "no labels" in andon("retrain", tiny_toml, code=1)["message"].lower()


def test_a_round_that_was_killed_before_the_gate_is_decided_about_and_asks_nothing_again(
    andon: Andon, first_run: str, tiny_toml: Path, tmp_path: Path
) -> None:
    (entry,) = (tmp_path / "store").glob("campaigns/sentiment/promotions/log/*.json")
    entry.unlink()  # as if it had been killed between the run and the gate
    (turn,) = andon("status")["campaigns"][0]["rounds"]
    assert turn["waits_for"].startswith("the gate")
    assert andon("round", tiny_toml)["run"] == first_run and entry.exists()
    (turn,) = andon("status")["campaigns"][0]["rounds"]
    assert turn["waits_for"].startswith("nothing") and len(turn["batches"]) == 1


def test_with_several_reward_models_a_part_of_the_next_batch_is_chosen_by_their_disagreement(
    andon: Andon, tiny_toml: Path, tmp_path: Path
) -> None:
    text = tiny_toml.read_text().replace("probe_share = 0.5\n", "probe_share = 0.5\nrandom_share = 0.5\n")
    tiny_toml.write_text(text.replace("held_out_share", "models = 2\nheld_out_share"))
    andon("round", tiny_toml)
    batch = andon("export", tiny_toml)["batch"]
    keys = sorted((tmp_path / "store").glob("campaigns/sentiment/batches/*/*/key/samples.parquet"))
    tables = {path.parts[-4]: pq.read_table(path).to_pylist() for path in keys}
    first, second = tables.pop(next(name for name in tables if name != batch)), tables[batch]
    assert {row["selection_reason"] for row in first} == {"random"}, "there was no reward model yet"
    reasons = [row["selection_reason"] for row in second]
    assert (reasons.count("random"), reasons.count("disagreement")) == (12, 12)
    assert all((row["selection_score"] is None) == (row["selection_reason"] == "random") for row in second)
    assert len({row["query_id"] for row in second}) == 24
