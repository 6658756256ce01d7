"""Query rules, truncation and padding: the seed's table, token by token."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from data.campaign import load_campaign
from models.lm.base import EMBEDDED, Base
from models.lm.tokens import PAD, pad_left, pad_right, truncate
from models.lm.vocabulary import stops

RULES = load_campaign("sentiment").text
STOP, OTHER = 7, 3


def row(*stops: int) -> list[int]:
    return [STOP if index in stops else OTHER for index in range(24)]


@pytest.mark.parametrize(
    ("stops", "kept"),
    [((15,), None), ((16,), 17), ((23,), 24), ((), None), ((16, 20), 17), ((2, 15, 20), 21), ((15, 16), 17)],
)
def test_a_response_ends_with_the_first_stop_at_or_after_16(stops: tuple[int, ...], kept: int | None) -> None:
    cut, valid = truncate(torch.tensor([row(*stops)]), [[STOP]], 16)
    assert bool(valid) is (kept is not None)
    expected = row(*stops)[: kept or 24]
    assert cut[0].tolist() == expected + [PAD] * (24 - len(expected))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.integers(0, 30))
def test_truncation_keeps_a_prefix_and_cuts_nothing_else(tokens: list[int], after: int) -> None:
    cut, valid = truncate(torch.tensor(tokens), [[STOP]], after)
    kept = [token for token in cut.tolist() if token != PAD]
    assert kept == tokens[: len(kept)] and len(cut) == len(tokens)
    assert bool(valid) is (STOP in tokens[after:])
    if valid:
        assert kept[-1] == STOP and STOP not in kept[after:-1]
    else:
        assert kept == tokens


def test_truncation_works_on_any_leading_shape_and_leaves_its_input() -> None:
    tokens = torch.tensor([[row(16), row(20)], [row(), row(3)]])
    before = tokens.clone()
    cut, valid = truncate(tokens, [[STOP]], 16)
    assert cut.shape == tokens.shape and valid.tolist() == [[True, True], [False, False]]
    assert torch.equal(tokens, before)


def test_a_query_ends_with_its_last_full_stop_within_the_limit(tiny: Base) -> None:
    prompts = tiny.prompts(RULES)
    text = "It was late. They went home. " + "And then nothing more was said about it " * 20
    ids = prompts.encode(text)
    assert ids is not None
    assert prompts.decode(ids) == "It was late. They went home."
    assert prompts.encode("No end in sight " * 30) is None
    assert prompts.encode(("word " * 70) + ".") is None, "the stop lies behind the limit"


def test_what_a_text_says_of_special_tokens_is_text(tiny: Base) -> None:
    prompts = tiny.prompts(RULES)
    (end,) = tiny.tokenizer.all_special_ids
    text = f"Good{tiny.tokenizer.all_special_tokens[0]} bad."
    for ids in (prompts.encode(text), prompts.encode_response(text)):
        assert ids is not None and end not in ids
        assert prompts.decode(ids) == text


def test_padding_lies_before_queries_and_behind_responses() -> None:
    assert pad_left([[1, 2], [3]], 3).tolist() == [[PAD, 1, 2], [PAD, PAD, 3]]
    assert pad_right([[1, 2], [3]], 3).tolist() == [[1, 2, PAD], [3, PAD, PAD]]


def test_padding_is_no_token_of_the_vocabulary() -> None:
    assert PAD not in AutoTokenizer.from_pretrained(EMBEDDED, trust_remote_code=False).get_vocab().values()


def test_a_full_stop_is_a_token_of_its_own_also_before_a_quotation_mark(tiny: Base) -> None:
    ((stop,),) = stops(tiny.tokenizer, ".")
    assert tiny.prompts(RULES).decode([stop]) == "."
    assert tiny.tokenizer.encode('He went." "No..."').count(stop) == 4
