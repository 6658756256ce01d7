"""What counts: decided by rule for every batch and labeler, by people beside it, and nothing is trained on before."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench.labels.quality import DIAGNOSES
from data.batches.composition import DISAGREEMENT, compose, read_gold
from data.batches.index import batches
from data.batches.schema import TESTS
from data.campaign import load_campaign
from data.canonical import canonical_json, sha256
from data.errors import Refused
from data.ingest import pipeline
from data.labels.decisions import batch_statuses, decision_log, override
from data.labels.findings import fault_text
from data.labels.label_sets import freeze, label_agreement, read_label_set
from data.labels.table import active_labels, committed, deliveries
from data.measures.agreement import PairAgreement
from data.measures.intervals import proportion
from data.quality.assess_batch import assess_pending
from data.rounds.status import rounds
from data.simulation.faulty_vendor import make_questions
from data.simulation.scorers import scorer
from flows.cli.ingest import ingested_lines
from tests.support.vendor import SHARES, Round


def test_a_sound_delivery_counts_and_its_weights_are_part_of_the_set(sent: Round) -> None:
    outcome = sent.deliver(sent.answers())
    assert outcome.decision == "accept" and outcome.findings == ()
    label_set = freeze(sent.store, "c")
    assert label_set is not None
    document, labels = read_label_set(sent.store, "c", label_set)
    assert document["labels"] == len(labels) == len(sent.key)
    weights = {label.labeler_id: label.weight for label in labels}
    assert len(set(weights.values())) > 5 and 0.25 <= min(weights.values()) <= 1 <= max(weights.values()) <= 1.5


def test_a_file_with_a_fault_leaves_no_label_and_a_corrected_one_goes_in(sent: Round) -> None:
    with pytest.raises(Refused, match=fault_text(DIAGNOSES["inverted"])) as refusal:
        sent.deliver(sent.answers("inverted"))
    assert "Nothing was taken" in str(refusal.value) and "report for the vendor" in str(refusal.value)
    assert deliveries(sent.store, "c") == [] and freeze(sent.store, "c") is None
    assert any("quality/refused" in key for key in sent.store.keys("campaigns"))
    assert sent.deliver(sent.answers()).decision == "accept"


def test_a_person_may_take_it_all_the_same_and_the_reason_stays(sent: Round) -> None:
    outcome = sent.deliver(sent.answers("inverted"), despite="the vendor was asked for the worst")
    assert outcome.accepted == len(sent.key) and outcome.decision == "reject"
    assert deliveries(sent.store, "c")[0]["despite"] == "the vendor was asked for the worst"
    assert freeze(sent.store, "c") is None, "taken in, and not trained on"
    override(sent.store, "c", "b1", "accept", "they are meant to be inverted", None)
    assert freeze(sent.store, "c") is not None


@pytest.mark.parametrize("nothing", ["", "  "])
def test_a_person_who_decides_says_why(sent: Round, nothing: str) -> None:
    with pytest.raises(Refused, match="reason"):
        sent.deliver(sent.answers("inverted"), despite=nothing)
    assert deliveries(sent.store, "c") == []
    sent.deliver(sent.answers())
    with pytest.raises(Refused, match="reason"):
        override(sent.store, "c", "b1", "hold", nothing, None)
    assert batch_statuses(sent.store, "c")["b1"].decision == "accept"


def test_where_every_labeler_is_on_hold_the_round_waits_for_a_person(sent: Round) -> None:
    outcome = sent.deliver([row | {"seconds": 0} for row in sent.answers()])
    assert outcome.decision == "accept" and len(outcome.held) == 30
    assert any("labelers on hold: labeler-00, labeler-01" in line for line in ingested_lines(outcome, "c"))
    assert freeze(sent.store, "c") is None
    assert "all its labelers are on hold" in rounds(sent.store, "c")[0].waits_for


def test_labels_on_hold_wait_for_a_person_and_the_accused_stay_out(sent: Round) -> None:
    outcome = sent.deliver(sent.answers("always first"))
    assert outcome.decision == "hold" and freeze(sent.store, "c") is None
    override(sent.store, "c", "b1", "accept", "the others are fine", None)
    label_set = freeze(sent.store, "c")
    assert label_set is not None
    (finding,) = outcome.findings
    _, labels = read_label_set(sent.store, "c", label_set)
    assert labels and not {label.labeler_id for label in labels} & set(finding["labelers"])
    first = finding["labelers"][0]
    override(sent.store, "c", "b1", "accept", "he likes it there", first)
    _, more = read_label_set(sent.store, "c", str(freeze(sent.store, "c")))
    assert first in {label.labeler_id for label in more} and len(more) > len(labels)


def test_labelers_agree_as_often_as_those_do_whose_labels_count(sent: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = sent.answers("always first")
    outcome = sent.deliver(rows)
    override(sent.store, "c", "b1", "accept", "the others are fine", None)
    _, labels = read_label_set(sent.store, "c", str(freeze(sent.store, "c")))
    out = set(outcome.findings[0]["labelers"])
    asked = {row["question_id"]: row for row in sent.key if row["role"] not in TESTS}
    said = [
        (
            asked[row["question_id"]]["item"],
            row["labeler_id"],
            asked[row["question_id"]]["shown"][int(str(row["best"]))],
        )
        for row in rows
        if row["question_id"] in asked and row["labeler_id"] not in out
    ]
    equal = [a[2] == b[2] for a, b in combinations(said, 2) if a[0] == b[0] and a[1] != b[1]]
    agreed = label_agreement(labels, batches(sent.store, "c"))
    assert agreed == PairAgreement(proportion(sum(equal), len(equal)), options=4)
    of_all = next(e["measures"]["agreement"] for e in decision_log(sent.store, "c") if e["kind"] == "assessment")
    assert of_all is not None and agreed is not None
    assert len(equal) > 100 and of_all["n"] > agreed.rate.n and of_all["value"] < agreed.rate.value
    assert label_agreement(labels[:1], batches(sent.store, "c")) is None
    hard = [row | {"selection_reason": DISAGREEMENT} for row in sent.key]
    monkeypatch.setattr("data.labels.label_sets.read_key", lambda path, tokens: hard)
    assert label_agreement(labels, batches(sent.store, "c")) is None, "no model is measured on what was chosen as hard"


@pytest.mark.slow
def test_new_faults_end_an_earlier_acceptance(sent: Round) -> None:
    rows = sent.answers("copycats")
    most = len(rows) * 4 // 5
    assert sent.deliver(rows[:most]).decision == "hold"
    override(sent.store, "c", "b1", "accept", "they sit in one room", None)
    assert batch_statuses(sent.store, "c")["b1"].decision == "accept"
    sent.deliver(rows[most:])
    assert batch_statuses(sent.store, "c")["b1"].decision == "accept", "the same fault was decided about"
    others = [row | {"labeler_id": f"{row['labeler_id']}-b"} for row in sent.answers("always first")]
    assert sent.deliver(others).decision == "hold", "this one was not"


@pytest.mark.slow
def test_new_faults_end_an_earlier_acceptance_of_a_labeler_too(sent: Round) -> None:
    rows = sent.answers()
    name = str(rows[0]["labeler_id"])
    mine = [row for row in rows if row["labeler_id"] == name]
    fast = [row | {"seconds": 0} for row in mine[3:]]
    assert sent.deliver([row for row in rows if row not in mine] + mine[:3]).held == ()
    override(sent.store, "c", "b1", "accept", "I know her", name)
    assert sent.deliver(fast[:-3]).held == (name,), "not this of her"
    override(sent.store, "c", "b1", "accept", "she reads fast", name)
    assert batch_statuses(sent.store, "c")["b1"].weights[name] > 0
    assert sent.deliver(fast[-3:]).held == (), "the same fault was decided about"


@pytest.mark.slow
def test_assessing_the_same_answers_again_says_nothing_new(sent: Round) -> None:
    sent.deliver(sent.answers())
    before = decision_log(sent.store, "c")
    sent.deliver(list(reversed(sent.answers())))
    assert decision_log(sent.store, "c") == before


@pytest.mark.slow
def test_a_correction_names_what_it_supersedes(sent: Round) -> None:
    rows = sent.answers()
    sent.deliver(rows)
    _, labels = read_label_set(sent.store, "c", str(freeze(sent.store, "c")))
    row = rows[0]
    changed = row | {"best": (int(str(row["best"])) + 1) % 4}
    filler = [other | {"labeler_id": "new"} for other in rows[1:60]]
    assert sent.deliver([changed, *filler]).quarantined == 1, "a later file cannot change an answer by itself"
    known = sent.store.keys("campaigns/c/labels/accepted")
    tables = [pq.read_table(sent.store.local_path(key)).to_pylist() for key in known]
    (old,) = [
        label["label_id"]
        for table in tables
        for label in table
        if (label["question_id"], label["labeler_id"]) == (row["question_id"], row["labeler_id"])
    ]
    newer = [other | {"labeler_id": "newer", "supersedes": None} for other in rows[1:60]]
    outcome = sent.deliver([changed | {"supersedes": old}, *newer])
    assert (outcome.accepted, outcome.quarantined) == (60, 0)
    override(sent.store, "c", "b1", "accept", "the new ones do copy, which is not the point here", None)
    _, after = read_label_set(sent.store, "c", str(freeze(sent.store, "c")))
    mine = [x for x in after if (x.question_id, x.labeler_id) == (row["question_id"], row["labeler_id"])]
    assert len(mine) == 1 and mine[0].best_sample != next(
        x.best_sample for x in labels if (x.question_id, x.labeler_id) == (row["question_id"], row["labeler_id"])
    )


def test_an_override_needs_a_batch_and_a_labeler_that_exist(sent: Round) -> None:
    with pytest.raises(Refused, match="no answers"):
        override(sent.store, "c", "b1", "accept", "why not", None)
    sent.deliver(sent.answers())
    with pytest.raises(Refused, match="has no answers in batch"):
        override(sent.store, "c", "b1", "hold", "who", "nobody")


def test_copies_and_gold_look_like_all_other_questions(sent: Round) -> None:
    roles = [row["role"] for row in sent.key]
    assert (roles.count("main"), roles.count("overlap"), roles.count("gold")) == (800, 480, 160)
    assert len({row["question_id"] for row in sent.key}) == len(sent.key)
    spread = [number for number, role in enumerate(roles) if role == "gold"]
    assert max(b - a for a, b in zip(spread, spread[1:], strict=False)) < 80, "gold lies anywhere in the file"
    items = [row["item"] for row in sent.key if row["role"] != "gold"]
    assert sorted(items.count(item) for item in set(items))[-240:] == [3] * 240


def test_gold_asked_for_and_not_there_is_refused(tmp_path: Path) -> None:
    questions, _, _ = make_questions(10, 1, gold=0)
    with pytest.raises(Refused, match="batch.gold"):
        compose(questions, [], SHARES, 0)
    with pytest.raises(Refused, match="line 1: needs 4 different options"):
        (tmp_path / "gold.jsonl").write_text('{"query": "a", "options": ["b", "c"], "best": 0}\n')
        read_gold(str(tmp_path / "gold.jsonl"), 4)
    assert replace(questions[0], role="overlap").item == questions[0].item


@pytest.mark.parametrize("campaign", ["sentiment", "descriptiveness"])
def test_the_shipped_gold_is_agreed_on_by_those_who_read(campaign: str) -> None:
    settings = load_campaign(campaign, "vendor")
    assert settings.labelers is not None
    known = read_gold(settings.batch.gold, settings.batch.samples)
    score = scorer(settings.labelers.prefers)
    assert len(known) == 40
    for question in known:
        liked = [score(question.query, sample.text) for sample in question.samples]
        assert liked.index(max(liked)) == question.gold and sorted(liked)[-1] - sorted(liked)[-2] > 0.5


def test_a_label_set_is_named_by_the_labels_that_count_and_their_weights(sent: Round) -> None:
    sent.deliver(sent.answers())
    name = str(freeze(sent.store, "c"))
    weights = read_label_set(sent.store, "c", name)[0]["weights"]["b1"]
    assert len(set(weights.values())) > 1
    labels = active_labels(committed(sent.store, deliveries(sent.store, "c")))
    counted = sorted((label.label_id, weights[label.labeler_id]) for label in labels if weights[label.labeler_id] > 0)
    assert name == "ls" + sha256(canonical_json(counted))[:14]


def test_answers_whose_assessment_was_cut_off_are_assessed_before_they_can_count(
    sent: Round, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    rows = sent.answers("always first")
    sent.deliver(rows[: len(rows) // 8])
    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "assess_batch", killed)
        with pytest.raises(KeyboardInterrupt):
            sent.deliver(rows)
    assert len(deliveries(sent.store, "c")) == 2 and len(decision_log(sent.store, "c")) == 1
    unseen = freeze(sent.store, "c")
    assess_pending(sent.store, "c")
    assert unseen is None and freeze(sent.store, "c") is None
    (status,) = batch_statuses(sent.store, "c").values()
    assert status.decision == "hold" and "always the same position" in status.why
    assess_pending(sent.store, "c")
    assert freeze(sent.store, "c") is None and len(decision_log(sent.store, "c")) == 2, "once is enough"


def test_labels_that_no_assessment_has_seen_do_not_count(sent: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = sent.answers()
    sent.deliver(rows[: len(rows) // 2])
    first = freeze(sent.store, "c")
    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "assess_batch", lambda *_: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception):
            sent.deliver(rows)
    assert freeze(sent.store, "c") == first, "the second delivery is in the log, and nobody has looked at it"
    assess_pending(sent.store, "c")
    assert freeze(sent.store, "c") != first
