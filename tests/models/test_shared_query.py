"""The shared-query form gives the numbers of the naive one: each response in a row of its own, without padding."""

import pytest
import torch
from torch import Tensor

from models.lm.base import Base
from models.lm.head import body_of, logits
from models.lm.shared_query import SharedQuery, shared_query, states_at_end, states_before
from models.lm.tokens import PAD, pad_left

WIDTH, K, LENGTH = 12, 3, 6


@pytest.fixture(params=["gpt2", "llama"])
def base(request: pytest.FixtureRequest, tiny: Base, tiny_llama: Base) -> Base:
    return tiny if request.param == "gpt2" else tiny_llama


def examples() -> tuple[list[list[int]], Tensor]:
    draw = torch.Generator().manual_seed(1)
    queries = [torch.randint(1, 500, (n,), generator=draw).tolist() for n in (12, 5, 1, 9)]
    responses = torch.randint(0, 500, (4, K, LENGTH), generator=draw)
    responses[0, 1, 4:] = PAD
    responses[2, 0, 1:] = PAD
    return queries, responses


def hidden_of(base: Base, row: SharedQuery) -> Tensor:
    out = body_of(base.model)(input_ids=row.tokens, attention_mask=row.attention, position_ids=row.positions)
    hidden: Tensor = out.last_hidden_state
    return hidden


def naive(base: Base, query: list[int], response: list[int]) -> Tensor:
    """Hidden states [n, d] of one query and one response, alone, by plain causal attention."""
    with torch.no_grad():
        out = base.model(input_ids=torch.tensor([query + response]), output_hidden_states=True)
    last: Tensor = out.hidden_states[-1][0]
    return last


def test_states_equal_those_of_separate_rows(base: Base) -> None:
    queries, responses = examples()
    row = shared_query(pad_left(queries, WIDTH), responses)
    with torch.no_grad():
        hidden = hidden_of(base, row)
    before = states_before(hidden, WIDTH, K, LENGTH)
    at_end = states_at_end(hidden, responses, WIDTH)
    for b, query in enumerate(queries):
        for k in range(K):
            real = [token for token in responses[b, k].tolist() if token != PAD]
            alone = naive(base, query, real)
            start = len(query) - 1
            torch.testing.assert_close(before[b, k, : len(real)], alone[start:-1], atol=1e-4, rtol=0)
            torch.testing.assert_close(at_end[b, k], alone[-1], atol=1e-4, rtol=0)


def test_more_padding_changes_nothing(base: Base) -> None:
    queries, responses = examples()
    ends = []
    for width in (WIDTH, WIDTH + 9):
        row = shared_query(pad_left(queries, width), responses)
        with torch.no_grad():
            hidden = hidden_of(base, row)
        ends.append(states_at_end(hidden, responses, width))
    torch.testing.assert_close(ends[0], ends[1], atol=1e-5, rtol=0)


def test_a_response_never_sees_another() -> None:
    queries, responses = examples()
    row = shared_query(pad_left(queries, WIDTH), responses)
    first, second = WIDTH + 0 * LENGTH, WIDTH + 1 * LENGTH
    assert not row.attention[:, 0, second : second + LENGTH, first : first + LENGTH].any()
    assert not row.attention[:, 0, first : first + LENGTH, second:].any()
    assert row.attention[0, 0, second, :WIDTH].all(), "but it sees its whole query"


def test_logits_are_fp32(base: Base) -> None:
    assert logits(base.model, torch.zeros(2, 32, dtype=torch.bfloat16)).dtype == torch.float32
