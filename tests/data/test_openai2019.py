"""The published label files of 2019 come in as labels, and nothing that is not one does."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from data.batches.index import batches
from data.campaign import Campaign, load_campaign
from data.errors import Refused
from data.exchange.formats.openai_2019 import PAD, VOCABULARY, read_published_labels
from data.labels.label_sets import read_label_set
from data.store import LocalStore
from models.lm.base import EMBEDDED, open_base
from models.reward.dataset import split_comparisons

ROW = {
    "query": [11, 12, 13, PAD, PAD],
    "sample0": [500, 501, PAD],
    "sample1": [600, 601, 602],
    "sample2": [700, PAD, PAD],
    "sample3": [800, 801, PAD],
    "best": 2,
}


def rows(n: int) -> list[dict[str, Any]]:
    return [ROW | {"query": [11, 12, 20 + i, PAD, PAD], "best": i % 4} for i in range(n)]


@pytest.fixture(scope="session")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """The sentiment campaign on a tiny model with as many tokens as GPT-2 has."""
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED, trust_remote_code=False)
    tokenizer.add_tokens([f"word{i}" for i in range(VOCABULARY - len(tokenizer))])
    folder = tmp_path_factory.mktemp("gpt2-vocabulary")
    config = GPT2Config(vocab_size=VOCABULARY, n_positions=128, n_embd=8, n_layer=1, n_head=1)
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load_campaign("sentiment", changes={"base": str(folder)})


@pytest.mark.slow
def test_what_was_chosen_in_the_file_is_what_is_trained_on(campaign: Campaign, tmp_path: Path) -> None:
    from tasks.imports import import_published

    file, store = tmp_path / "offline_5k.json", LocalStore(tmp_path / "store")
    file.write_text(json.dumps(rows(40)))
    outcome = import_published.fn(store.uri, campaign, file)
    assert (outcome.accepted, outcome.quarantined) == (40, 0) and outcome.label_set is not None
    again = import_published.fn(store.uri, campaign, file)
    assert (again.accepted, again.duplicates, again.label_set) == (0, 40, outcome.label_set)

    _, labels = read_label_set(store, "sentiment", outcome.label_set)
    (batch,) = batches(store, "sentiment")
    base = open_base(campaign.base, campaign.text)
    split = split_comparisons(base, [batch], labels, base.prompts(campaign.text), 0.2)
    expected = {tuple(row["query"][:3]): row["best"] for row in rows(40)}
    assert len(split.train) + len(split.held_out) == 40
    for comparison in split.train + split.held_out:
        assert comparison.responses == [[500, 501], [600, 601, 602], [700], [800, 801]], "without padding, in order"
        assert comparison.choices[0].shares.index(1.0) == expected[tuple(comparison.query)]


def test_a_base_with_another_vocabulary_is_refused(tmp_path: Path) -> None:
    from tasks.imports import import_published

    (tmp_path / "labels.json").write_text(json.dumps(rows(1)))
    with pytest.raises(Refused, match="another vocabulary. Use --base"):
        import_published.fn(str(tmp_path / "store"), load_campaign("sentiment"), tmp_path / "labels.json")


def changed(**changes: object) -> list[dict[str, Any]]:
    return [copy.deepcopy(ROW), ROW | changes]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a label file"),
        ("[", "not a label file"),
        ("{}", "one JSON array"),
        ("[]", "one JSON array"),
        (changed(best=4), "label 1 of .*best is 4; it must be 0 to 3"),
        (changed(best=-1), "best is -1"),
        (changed(best=True), "best is True"),
        (changed(sample1=[VOCABULARY]), "holds 50257"),
        (changed(sample1=[-1]), "holds -1"),
        (changed(sample1=[PAD]), "sample1 is empty"),
        (changed(query="text"), "query is not a list"),
        ([ROW, {key: value for key, value in ROW.items() if key != "sample3"}], "has 3 samples, those before it 4"),
        ([ROW, {"query": [1], "sample": [2], "score": 0.5}], "label 1 of .*has no query, sample0"),
    ],
)
def test_a_file_that_is_none_is_refused_with_its_row(tmp_path: Path, content: object, message: str) -> None:
    file = tmp_path / "labels.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(Refused, match=message):
        read_published_labels(file)
