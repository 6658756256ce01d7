"""Work in pieces gives what it gives at once. Memory that runs out loses nothing, and one line says what would fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache

from data.campaign import load_campaign
from data.errors import Refused, out_of_memory
from data.runs.checkpoints import Checkpoints
from data.store import LocalStore
from models.lm import memory
from models.lm.base import Base
from models.lm.head import body_of
from models.lm.memory import fitting, free_bytes, must_recompute, shape_of
from models.lm.pieces import in_pieces
from models.lm.query_list import QueryList
from models.lm.sampling import draw_noise, sample, sample_in_pieces
from models.lm.tokens import pad_left
from models.ppo.policy import PolicyModel, roll_out
from models.ppo.train import PolicyHooks, train_policy
from models.reward.model import new_reward_model, score_all, train_reward_model
from models.reward.preferences import best_of
from models.training.exhausted import SizeLimit
from models.training.hooks import Hooks
from models.training.recompute import recompute
from models.training.sharding import blocks

RULES = load_campaign("sentiment").text
QUERIES = [[5, 9, 300, 7], [8] * 40, [1, 2], [77] * 9, [3], [12, 13]]
CPU = torch.device("cpu")
GIB = 2**30
Allow = Callable[[int], None]


@pytest.fixture
def allow(monkeypatch: pytest.MonkeyPatch) -> Allow:
    """Say how many rows fit into memory."""

    def rows(count: int) -> None:
        for module in ("models.lm.sampling", "models.reward.model", "models.evaluation.responses"):
            monkeypatch.setattr(f"{module}.fitting", lambda device, row, most: min(count, most))

    return rows


def exhausted(*_: object) -> Tensor:
    return torch.empty(10**14)  # the allocator itself refuses


@pytest.mark.parametrize("piece", [1, 4])
def test_rollouts_and_scores_in_pieces_are_those_at_once(
    tiny: Base, tiny_llama: Base, allow: Allow, piece: int
) -> None:
    noise = draw_noise(6, 3, RULES, torch.Generator().manual_seed(0))
    rows = [best_of(query, [[7, 8], [9]], 0) for query in QUERIES]

    def all_of(base: Base) -> list[Tensor]:
        policy, score = PolicyModel(base.model), new_reward_model(base.model, 0)
        rollout = roll_out(policy, base.model, score, QUERIES, noise, base.prompts(RULES), 64)
        return [*rollout, score_all(score, rows)]

    for base in (tiny, tiny_llama):
        allow(64)
        at_once = all_of(base)
        allow(piece)
        for one, other in zip(at_once, all_of(base), strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_what_fits_is_done_at_once_to_the_same_bits(tiny: Base) -> None:
    noise = draw_noise(6, 2, RULES, torch.Generator().manual_seed(0))
    queries = pad_left(QUERIES)
    at_once, in_parts = sample(tiny.model, queries, noise, RULES), sample_in_pieces(tiny.model, queries, noise, RULES)
    assert all(torch.equal(one, other) for one, other in zip(at_once, in_parts, strict=True))


def test_a_piece_that_does_not_fit_is_halved_and_finished_work_is_kept() -> None:
    done: list[int] = []

    def work(rows: slice) -> list[int]:
        numbers = list(range(20)[rows])
        if len(numbers) > 3:
            exhausted()
        done.extend(numbers)
        return numbers

    assert [number for part in in_pieces(work, 20, 16) for number in part] == done == list(range(20))
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        in_pieces(exhausted, 4, 4)
    with pytest.raises(RuntimeError, match="another"):
        in_pieces(lambda rows: (_ for _ in ()).throw(RuntimeError("another")), 4, 4)


def test_errors_of_memory_are_told_from_others() -> None:
    assert out_of_memory(MemoryError()) and out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried ..."))
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_the_estimate_has_the_cache_and_the_logits_that_sampling_needs(tiny: Base, tiny_llama: Base) -> None:
    for base in (tiny, tiny_llama):
        shape, cache = shape_of(base.model), DynamicCache()
        body_of(base.model)(input_ids=torch.ones(1, 10, dtype=torch.long), past_key_values=cache, use_cache=True)
        layers: list[Any] = cache.layers
        used = sum(layer.keys.numel() + layer.values.numel() for layer in layers)
        assert used == 2 * shape.layers * shape.keys * 10
        assert shape.sampling(4, 2, 3) > 4 * used + 4 * 2 * base.model.config.vocab_size
        assert shape.training(10, 4) >= shape.training(10, 4, recomputed=True) > shape.scoring(10)
        deep = shape._replace(layers=12)
        assert deep.training(10, 4) > deep.training(10, 4, recomputed=True) > shape.scoring(10)


def test_free_memory_is_what_the_groups_leave_and_what_the_process_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 2 * GIB)
    monkeypatch.setattr(memory, "_kept_by_glibc", lambda: GIB)
    assert free_bytes(CPU) == 3 * GIB
    assert fitting(CPU, GIB, 64) == 2 and fitting(CPU, 1, 64) == 64 and fitting(CPU, 9 * GIB, 64) == 1


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_gradients_with_checkpointing_are_equal(tiny: Base, tiny_llama: Base, kind: str) -> None:
    base = tiny if kind == "gpt2" else tiny_llama
    contexts, tokens = pad_left(QUERIES), torch.randint(0, 500, (6, 2, 5), generator=torch.Generator().manual_seed(1))
    passes: list[int] = []
    gradients: list[list[Tensor | None]] = []
    for on in (False, True):
        policy, count = PolicyModel(base.model), list[int]()
        if on:
            recompute(policy)
        inside = next(next(blocks(policy)).children())
        inside.register_forward_hook(lambda *_, count=count: count.append(1))
        logprobs, values, _ = policy(contexts, tokens, 0.7)
        (logprobs.sum() + values.square().sum() + values.sum()).backward()
        gradients.append([parameter.grad for parameter in policy.parameters()])
        passes.append(len(count))
    assert passes[1] == 2 * passes[0], "the blocks are computed again"
    for one, other in zip(*gradients, strict=True):
        assert one is not None and other is not None and torch.equal(one, other)


def test_checkpointing_is_for_micro_batches_that_do_not_fit_without_it(
    tiny: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: GIB)
    assert not must_recompute(tiny.model, 4, 100, 40)
    assert must_recompute(tiny.model, 4, 10**7, 40)
    assert must_recompute(tiny.model, 4, 100, 40, copies=10**5), "weights, gradients and moments need memory too"


def test_memory_that_runs_out_names_the_setting_and_the_training_goes_on_from_there(tiny: Base, tmp_path: Path) -> None:
    sizes = {"episodes": 64, "batch": 32, "micro_batch": 4}
    settings = load_campaign("sentiment").policy.model_copy(update=sizes)
    score, prompts = new_reward_model(tiny.model, 0), tiny.prompts(RULES)
    calls = 0

    def runs_out_in_the_second_update(queries: Tensor, responses: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return exhausted() if calls == 3 else score(queries, responses)

    saved = Checkpoints(LocalStore(tmp_path), "policy", 10)
    with pytest.raises(Refused, match=r"step 1, .*micro_batch in \[policy\] is 4, and 2 would fit"):
        train_policy(
            settings, prompts, tiny.model, runs_out_in_the_second_update, QUERIES, 0, PolicyHooks(checkpoints=saved)
        )
    assert saved.newest() == 1
    continued = train_policy(settings, prompts, tiny.model, score, QUERIES, 0, PolicyHooks(checkpoints=saved))
    whole = train_policy(settings, prompts, tiny.model, score, QUERIES, 0)
    assert all(torch.equal(*pair) for pair in zip(continued.parameters(), whole.parameters(), strict=True))


def test_a_reward_training_that_runs_out_of_memory_says_so(
    tiny: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, settings = new_reward_model(tiny.model, 0), load_campaign("sentiment").reward
    rows = [best_of(query, [[7, 8], [9]], 0) for query in QUERIES]
    monkeypatch.setattr("models.reward.model.preference_loss", exhausted)
    saved = Checkpoints(LocalStore(tmp_path), "reward", 10)
    with pytest.raises(Refused, match=r"step 0, .*micro_batch in \[reward\] is 64, and \d+ would fit"):
        train_reward_model(model, rows, settings, 0, Hooks(checkpoints=saved))
    assert saved.newest() == 0


def test_one_row_that_does_not_fit_asks_for_a_smaller_row() -> None:
    assert "One row does not fit" in SizeLimit("micro_batch in [policy]", 1, lambda most: most).advice()


def test_a_list_of_queries_reads_like_a_list() -> None:
    queries = QueryList(iter(QUERIES))
    assert list(queries) == QUERIES and len(queries) == 6 and queries[-1] == QUERIES[-1]
    assert queries[1:3] == QUERIES[1:3] and queries[2] == [1, 2] and not QueryList([])
    with pytest.raises(IndexError):
        queries[6]
