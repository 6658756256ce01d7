"""Lineage: from a champion back to the files of a vendor and from a file on to what it taught, without a database."""

from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest

from data.errors import Refused
from data.labels.label_sets import freeze
from data.paths import comparisons_of
from data.rounds import lineage
from data.store import LocalStore
from data.store.manifest import publish
from tests.support.vendor import Round


@pytest.mark.slow
def test_a_label_set_leads_to_files_batches_and_the_base(sent: Round) -> None:
    sent.deliver(sent.answers()[:300])
    sent.deliver(sent.answers()[200:])
    label_set = freeze(sent.store, "c")
    assert label_set is not None
    campaign, graph, node = lineage.find(sent.store, label_set)
    assert campaign == "c" and node.kind == "label set"
    kinds = [each.kind for each in lineage.ancestors(graph, node)]
    assert (kinds.count("file"), kinds.count("batch"), kinds.count("base")) == (2, 1, 1)
    text = "\n".join(lineage.tree(graph, node))
    assert "answers.parquet" in text and "b1" in text and "300 accepted" in text


def test_a_file_leads_on_to_all_that_it_taught(sent: Round) -> None:
    sent.deliver(sent.answers())
    label_set = freeze(sent.store, "c")
    _, graph, batch = lineage.find(sent.store, "b1")
    assert {node.kind for node in lineage.descendants(graph, batch)} == {"file", "label set"}
    assert label_set in {node.id for node in lineage.descendants(graph, batch)}


def test_one_label_is_found_with_its_row(sent: Round) -> None:
    sent.deliver(sent.answers())
    (key,) = sent.store.keys("campaigns/c/labels/accepted")
    row = pq.read_table(sent.store.local_path(key)).to_pylist()[7]
    _, graph, node = lineage.find(sent.store, row["label_id"][:20])
    assert node.kind == "label" and row["labeler_id"] in node.text and f"row {row['source_row']} " in node.text
    assert [each.kind for each in lineage.ancestors(graph, node)] == ["label", "file", "batch", "base"]


def test_a_comparison_leads_to_the_runs_that_it_is_about(sent: Round) -> None:
    facts = {"batch": "h001-x", "round": 1, "questions": 9, "systems": ["best-of-8 of run-1", "run-2/supervised"]}
    prefix = f"campaigns/{comparisons_of('c')}/batches/h001-x"
    publish(sent.store, prefix, "comparison", {"x": b""}, inputs={}, facts=facts, began=datetime.now(UTC))
    _, _, node = lineage.find(sent.store, "h001-x")
    assert (node.kind, node.made_from) == ("comparison", ("run-1", "run-2")) and " compared with run-2" in node.text


def test_what_is_not_there_or_not_one_thing_is_refused(sent: Round) -> None:
    sent.deliver(sent.answers())
    with pytest.raises(Refused, match="has nothing called run-nothing"):
        lineage.find(sent.store, "run-nothing")
    with pytest.raises(Refused, match="matches 2 ids"):
        lineage.find(sent.store, "b")
    assert lineage.campaigns(LocalStore(sent.folder / "empty")) == []
