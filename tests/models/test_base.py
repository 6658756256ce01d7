"""The embedded base and its queries are what the model card says, and any causal language model can take its place."""

import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM

from base.reader import read_twice, repeating_loss
from data.campaign import load_campaign
from data.campaign.queries import EMBEDDED as QUERIES
from data.campaign.queries import load_queries
from data.errors import Refused
from data.measures.copying import has_preamble
from models.lm.base import EMBEDDED, Base, fingerprint, open_base, save_language_model, trainable_copy

RULES = load_campaign("sentiment").text


@pytest.fixture(scope="module")
def embedded() -> Base:
    return open_base("embedded")


def test_the_embedded_base_is_small_and_a_gpt2(embedded: Base) -> None:
    assert embedded.model.config.model_type == "gpt2"
    assert 4_000_000 <= embedded.model.num_parameters() <= 8_000_000
    files = [path for folder in (EMBEDDED, *QUERIES.values()) for path in folder.iterdir()]
    assert sum(path.stat().st_size for path in files) < 20_000_000
    assert {path.suffix for path in EMBEDDED.iterdir()} <= {".json", ".safetensors"}


def test_it_reads_and_writes_any_text(embedded: Base) -> None:
    for text in ('"Oh!" said she--"it is late."', "Привет, 世界 \U0001f600", "a\n\n b  c"):
        assert embedded.tokenizer.decode(embedded.tokenizer.encode(text)) == text


def test_it_predicts_english_far_better_than_chance(embedded: Base) -> None:
    text = "She had been very happy in her father's house, and did not wish to leave it. "
    ids = torch.tensor([embedded.tokenizer.encode(text * 1)])
    with torch.no_grad():
        loss = float(embedded.model(input_ids=ids, labels=ids).loss)
    assert loss < 4.5, "nats a token; held-out texts cost it 4.16 (base/README.md), a uniform guess 8.3"


@pytest.mark.slow
def test_there_are_queries_enough_and_all_distinct(embedded: Base) -> None:
    for queries, enough in ((load_queries(RULES, "train"), 6000), (load_queries(RULES, "test"), 1000)):
        assert len({query.text for query in queries}) == len(queries)
        prompts = embedded.prompts(RULES)
        usable = {tuple(ids) for query in queries if (ids := prompts.encode(query.text))}
        assert len(usable) >= enough
        assert sum(len(ids) >= 16 for ids in usable) > 0.97 * len(usable)


def test_no_text_crosses_from_training_to_test_queries() -> None:
    def shingles(text: str) -> set[str]:
        words = text.split()
        return {" ".join(words[i : i + 10]) for i in range(len(words) - 9)}

    train = set().union(*(shingles(query.text) for query in load_queries(RULES, "train")))
    test = set().union(*(shingles(query.text) for query in load_queries(RULES, "test")))
    assert train and test and not train & test


def test_passages_of_speeches_are_whole_sentences_of_some_length(embedded: Base) -> None:
    rules = load_campaign("speeches").text
    for queries, count in ((load_queries(rules, "train"), 4000), (load_queries(rules, "test"), 600)):
        texts = [query.text for query in queries]
        assert len(set(texts)) == len(texts) == count
        assert sum(len(path.read_bytes()) for path in QUERIES["speeches"].iterdir()) < 2_000_000
        assert all(text[0].isupper() or text[0] in "\"'($" or text[0].isdigit() for text in texts)
        assert all(text[-1] in '.!?"' for text in texts)
        lengths = [len(embedded.tokenizer.encode(text)) for text in texts]
        assert min(lengths) >= 90 and max(lengths) <= 120
        assert sum(has_preamble(text, "speeches") for text in texts) / count == pytest.approx(1 / 3, abs=0.01)


def test_the_embedded_base_cannot_look_back(embedded: Base) -> None:
    texts = [query.text for query in load_queries(load_campaign("speeches").text, "test")[:12]]
    first, second = read_twice(embedded.model, [embedded.tokenizer.encode(text) for text in texts])
    assert second > first - 0.3, "what base/README.md says: base/reader.py teaches it"


def test_repeating_is_lost_on_a_model_that_does_not_look_back(embedded: Base) -> None:
    tokens = torch.arange(4096)
    loss = repeating_loss(embedded.model, tokens, 24, random.Random(0))
    assert float(loss) > 7, "nats a token; a uniform guess costs 8.3, a copy nothing"


def test_no_speech_is_in_both_splits() -> None:
    splits = [pq.read_table(QUERIES["speeches"] / f"{split}.parquet").to_pylist() for split in ("train", "test")]
    speeches = [{row["speech"] for row in rows} for rows in splits]
    assert min(map(len, speeches)) > 25 and not speeches[0] & speeches[1]
    assert all(row["query_id"].startswith(row["speech"]) for rows in splits for row in rows)


def test_a_checkpoint_folder_loads_whatever_its_architecture(tiny: Base, tiny_llama: Base, tmp_path: Path) -> None:
    for base in (tiny, tiny_llama):
        folder = tmp_path / base.model.config.model_type
        save_language_model(base.model, base.tokenizer, folder)
        again = open_base(str(folder))
        assert again.fingerprint == base.fingerprint and again.vocabulary == base.vocabulary
        assert (
            AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=False).config.model_type
            == base.model.config.model_type
        )


def test_a_copy_has_weights_of_its_own(tiny: Base) -> None:
    copy = trainable_copy(tiny.model)
    assert fingerprint(copy) == tiny.fingerprint
    with torch.no_grad():
        next(copy.parameters()).add_(1.0)
    assert fingerprint(copy) != tiny.fingerprint == fingerprint(tiny.model)


def test_dropout_is_never_on(tiny: Base) -> None:
    assert not any(module.training for module in trainable_copy(tiny.model).modules())
    assert not any(module.training for module in tiny.model.modules())


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "~/no-such-folder-here"])
def test_a_missing_folder_is_refused_in_words(name: str) -> None:
    with pytest.raises(Refused, match="no checkpoint folder"):
        open_base(name)


def test_a_base_that_is_too_short_is_refused_before_anything_is_sampled(tiny_folder: Path) -> None:
    with pytest.raises(Refused, match="holds 128 tokens; the campaign needs 129 for query and response"):
        open_base(str(tiny_folder), RULES.model_copy(update={"query_tokens": 128 - RULES.response_tokens + 1}))


def test_a_base_must_hold_what_stands_around_a_query_too(tiny_folder: Path) -> None:
    exactly = RULES.model_copy(update={"query_tokens": 128 - RULES.response_tokens})
    assert open_base(str(tiny_folder), exactly)
    with pytest.raises(Refused, match="holds 128 tokens; the campaign needs 130 for query, affixes and response"):
        open_base(str(tiny_folder), exactly.model_copy(update={"prefix": ".", "suffix": "."}))


def test_a_folder_without_a_checkpoint_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be loaded") as caught:
        open_base(str(tmp_path))
    assert "\n" not in str(caught.value)
