"""A champion that was made from a base with another vocabulary stands in nobody's way unseen."""

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from data.batches.index import batches
from data.campaign import Campaign, load_campaign
from data.campaign.queries import load_queries
from data.errors import Refused
from data.runs.champion import promote, rollback
from data.store import LocalStore
from data.store.manifest import publish
from models.lm.base import EMBEDDED
from tasks.batches import publish_batch
from tasks.training import check_rival
from tests.support.history import NOW


@pytest.fixture(scope="module")
def other_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny GPT-2 of 700 tokens of its own."""
    texts = [query.text for query in load_queries(load_campaign("sentiment").text, "test")[:200]]
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED, trust_remote_code=False).train_new_from_iterator(
        texts, vocab_size=700
    )
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=128, n_embd=32, n_layer=2, n_head=2)
    folder = tmp_path_factory.mktemp("other")
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_nothing_is_sampled_or_trained_beside_a_champion_of_other_tokens(
    campaign: Campaign, other_folder: Path, tmp_path: Path
) -> None:
    store, name = LocalStore(tmp_path / "store"), campaign.name
    check_rival.fn(store.uri, campaign, "run-2")
    prefix = f"campaigns/{name}/runs/run-1"
    files: dict[str, Path | bytes] = {each.name: each for each in other_folder.iterdir()}
    publish(store, f"{prefix}/policy", "policy", files, inputs={}, facts={}, began=NOW)
    inputs, facts = {"policy": f"{prefix}/policy"}, {"run": "run-1"}
    publish(store, prefix, "run", {"b": b"b"}, inputs=inputs, facts=facts, began=NOW)
    promote(store, name, "run-1", "")
    for late in (
        lambda: publish_batch.fn(store.uri, campaign, 1, 0),
        lambda: check_rival.fn(store.uri, campaign, "run-2"),
    ):
        with pytest.raises(
            Refused, match="champion run-1 was trained from another base than .* andon rollback sentiment"
        ):
            late()
    assert batches(store, name) == []
    rollback(store, name, "it was made from another base", "ann")
    check_rival.fn(store.uri, campaign, "run-2")
