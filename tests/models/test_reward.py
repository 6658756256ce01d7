"""The reward model: where it reads, how it starts, what it learns, and that its scale is the base's."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from data.campaign import load_campaign
from data.campaign.queries import is_held_out
from data.errors import Refused
from models.lm.base import Base, fingerprint
from models.lm.sampling import draw_noise, sample
from models.lm.tokens import PAD, pad_left, truncate
from models.reward.dataset import base_responses
from models.reward.ensemble import Ensemble
from models.reward.model import (
    RewardModel,
    load_reward_model,
    measure_held_out,
    new_reward_model,
    score_all,
    train_reward_model,
)
from models.reward.preferences import Comparison, best_of, preference_loss, ranked, targets
from models.training.processes import Processes

SETTINGS = load_campaign("sentiment").reward
LIKED = 77


def comparisons(n: int, seed: int = 0, responses: int = 4) -> list[Comparison]:
    """Comparisons whose best response is the one that holds the token LIKED."""
    draw = torch.Generator().manual_seed(seed)
    rows = []
    for index in range(n):
        query = torch.randint(100, 400, (3 + index % 5,), generator=draw).tolist()
        texts = torch.randint(100, 400, (responses, 8), generator=draw).tolist()
        best = int(torch.randint(responses, (), generator=draw))
        texts[best][int(torch.randint(8, (), generator=draw))] = LIKED
        rows.append(best_of(query, texts, best))
    return rows


@pytest.fixture
def model(tiny: Base) -> RewardModel:
    return new_reward_model(tiny.model, seed=0)


def test_the_head_starts_with_the_papers_spread_and_the_body_with_the_bases(tiny: Base) -> None:
    heads = torch.cat([new_reward_model(tiny.model, seed).head.weight.detach() for seed in range(200)])
    assert abs(float(heads.std()) - 33**-0.5) < 0.01
    model = new_reward_model(tiny.model, 0)
    assert float(model.head.bias) == 0 and float(model.gain) == 1 and float(model.bias) == 0
    assert fingerprint(model.body) == fingerprint(tiny.model.base_model)


def test_training_it_leaves_the_base_alone(tiny: Base, model: RewardModel) -> None:
    train_reward_model(model, comparisons(32), SETTINGS, seed=0)
    assert fingerprint(tiny.model) == tiny.fingerprint


def test_a_score_does_not_depend_on_padding_or_on_who_shares_the_batch(model: RewardModel) -> None:
    rows = comparisons(6)
    together = score_all(model, rows)
    alone = torch.cat([score_all(model, [row]) for row in rows])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    queries, responses = pad_left([row.query for row in rows], 31), torch.tensor([row.responses for row in rows])
    wider = torch.cat([responses, torch.full((6, 4, 7), PAD)], -1)
    torch.testing.assert_close(model(queries, wider), together, atol=1e-5, rtol=0)


def test_it_reads_the_last_real_token_of_the_truncated_response(model: RewardModel) -> None:
    queries = torch.tensor([[5, 6, 7]])
    short = torch.tensor([[[1, 2, 3, PAD, PAD]]])
    changed_inside = torch.tensor([[[1, 9, 3, PAD, PAD]]])
    longer = torch.tensor([[[1, 2, 3, 4, PAD]]])
    exact = torch.tensor([[[1, 2, 3]]])
    score = model(queries, short)
    torch.testing.assert_close(score, model(queries, exact))
    assert not torch.allclose(score, model(queries, changed_inside))
    assert not torch.allclose(score, model(queries, longer))


def test_it_learns_which_response_was_chosen(model: RewardModel) -> None:
    settings = SETTINGS.model_copy(update={"lr": 3e-3, "batch": 16})
    history = train_reward_model(model, comparisons(1000), settings, seed=0)
    assert sum(step["loss"] for step in history[-10:]) < 0.5 * sum(step["loss"] for step in history[:10])
    held_out = measure_held_out(Ensemble([model]).scores, comparisons(200, seed=9))
    assert held_out.accuracy.low > 0.6 and held_out.chance == 0.25


def test_labels_of_the_wrong_index_teach_the_opposite(model: RewardModel) -> None:
    settings = SETTINGS.model_copy(update={"lr": 3e-3, "batch": 16})
    wrong = [best_of(q, r, (c[0].shares.index(1.0) + 1) % 4) for q, r, c, *_ in comparisons(1000)]
    train_reward_model(model, wrong, settings, seed=0)
    assert measure_held_out(Ensemble([model]).scores, comparisons(200, seed=9)).accuracy.high < 0.25


def test_every_label_is_used_once_an_epoch(model: RewardModel, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Comparison] = []
    tensors = model.tensors

    def watch(rows: list[Comparison]) -> object:
        seen.extend(rows)
        return tensors(rows)

    monkeypatch.setattr(model, "tensors", watch)
    rows = comparisons(37)
    history = train_reward_model(model, rows, SETTINGS, seed=0)
    assert sorted(map(repr, seen)) == sorted(map(repr, rows)) and seen != rows
    assert history[-1]["labels"] == 37


def test_after_normalisation_base_scores_have_mean_0_and_deviation_1(model: RewardModel) -> None:
    rows = comparisons(120, responses=1)
    first = model.normalise(rows)
    scores = score_all(model, rows)
    assert abs(float(scores.mean())) < 1e-4 and abs(float(scores.std(correction=0)) - 1) < 1e-4
    again = model.normalise(rows)
    assert again == pytest.approx(first), "normalising again starts from gain 1 and bias 0"
    assert (first.n, again.n) == (120, 120)


def test_normalisation_does_not_change_which_response_is_best(model: RewardModel) -> None:
    rows = comparisons(50)
    before = score_all(model, rows).argmax(-1)
    model.normalise(comparisons(60, seed=3, responses=1))
    assert torch.equal(score_all(model, rows).argmax(-1), before)


def test_it_is_normalised_on_valid_truncated_responses_of_the_base(tiny: Base) -> None:
    rules = load_campaign("sentiment").text
    rows = base_responses(tiny, [[4, 5, 6], [9]], tiny.prompts(rules), 40, seed=0)
    stop = tiny.tokenizer.convert_tokens_to_ids(".")
    assert len(rows) == 40
    assert all(row.responses[0][-1] == stop and 17 <= len(row.responses[0]) <= 24 for row in rows)
    assert base_responses(tiny, [[4, 5, 6], [9]], tiny.prompts(rules), 40, seed=0) == rows


def test_it_is_normalised_on_what_the_frozen_base_itself_writes(tiny: Base) -> None:
    rules, query = load_campaign("sentiment").text, [4, 5, 6]
    noise = draw_noise(50, 4, rules, torch.Generator().manual_seed(0))
    drawn = sample(tiny.model, pad_left([query] * 50), noise, rules).tokens
    raw = base_responses(tiny, [query], tiny.prompts(rules), 200, seed=0, scored=False)
    assert [row.responses[0] for row in raw] == drawn.flatten(0, 1).tolist(), "all of them, as the released code did"
    scored = base_responses(tiny, [query], tiny.prompts(rules), 40, seed=0)
    cut, valid = truncate(drawn, [[tiny.tokenizer.convert_tokens_to_ids(".")]], rules.truncate_after)
    whole = [[token for token in row if token != PAD] for row in cut[valid].tolist()]
    wanted = [row for row in whole if "\ufffd" not in tiny.tokenizer.decode(row)]  # the others have parts of characters
    assert 40 < len(wanted) < len(whole)
    assert [row.responses[0] for row in scored] == wanted[:40]


def test_all_processes_are_normalised_on_what_the_first_one_sampled(
    tiny: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others may sample other tokens on other GPUs, and would stop after another pass."""
    rules = load_campaign("sentiment").text
    stop = tiny.tokenizer.convert_tokens_to_ids(".")
    monkeypatch.setattr(Processes, "of_the_first", lambda self, tokens: torch.full_like(tokens, stop))
    rows = base_responses(tiny, [[4, 5, 6]], tiny.prompts(rules), 40, seed=0)
    assert {tuple(row.responses[0]) for row in rows} == {(stop,) * 17}


def test_a_saved_model_gives_the_same_scores_and_holds_no_pickle(model: RewardModel, tmp_path: Path) -> None:
    model.normalise(comparisons(60, responses=1))
    model.save(tmp_path)
    rows = comparisons(8)
    torch.testing.assert_close(score_all(load_reward_model(tmp_path), rows), score_all(model, rows))
    assert {path.suffix for path in tmp_path.iterdir()} <= {".safetensors", ".json"}


def test_a_query_is_always_on_the_same_side_of_the_split() -> None:
    ids = [f"query-{n}" for n in range(4000)]
    held_out = {query for query in ids if is_held_out(query, 0.1)}
    assert held_out == {query for query in reversed(ids) if is_held_out(query, 0.1)}
    assert 320 < len(held_out) < 480
    assert held_out < {query for query in ids if is_held_out(query, 0.2)}


def test_calibration_reads_only_labels_that_name_one_best_of_all() -> None:
    rows = [best_of([1], [[2], [3]], 0), best_of([1], [[2], [3]], 1), ranked([1], [[2], [3]], [[0, 1]])]
    rows += [Comparison([1], [[2], [3]], ratings=(1.0, 5.0))]
    sure = measure_held_out(lambda _: torch.tensor([[[50.0, 0.0]] * 4]), rows).calibration
    assert sure is not None and sure[0] == pytest.approx(0.5) and sum(each.n for each in sure[1]) == 4
    assert measure_held_out(lambda _: torch.zeros(1, 2, 2), rows[2:]).calibration is None


def test_rounds_with_different_k_train_one_model_together(model: RewardModel, tiny: Base) -> None:
    four, two = comparisons(6), comparisons(5, seed=1, responses=2)
    two[0] = two[0]._replace(choices=(), ratings=(0.5, -0.5))
    rows = [row for pair in zip(four, [*two, four[0]], strict=True) for row in pair]
    alone = torch.cat([score_all(model, [row]).flatten() for row in rows])
    together = score_all(model, rows)
    torch.testing.assert_close(together[together > -torch.inf], alone, atol=1e-5, rtol=0)
    losses = [float(preference_loss(score_all(model, [row]), targets([row]))) for row in rows]
    torch.testing.assert_close(preference_loss(together, targets(rows)).tolist(), losses, atol=1e-5, rtol=0)
    settings = SETTINGS.model_copy(update={"batch": 12, "micro_batch": 5})
    (step,) = train_reward_model(model, rows, settings, seed=0)
    assert step["loss"] == pytest.approx(sum(losses) / 12, abs=1e-5)
    measured = measure_held_out(Ensemble([model, new_reward_model(tiny.model, 1)]).scores, rows)
    assert measured.chance == pytest.approx((7 / 4 + 5 / 2) / 12)
    assert measured.accuracy.n == 12 and measured.calibration is not None
    assert sum(bin.n for bin in measured.calibration[1]) == 7 * 4 + 4 * 2


def test_a_model_that_diverges_is_refused_before_it_is_normalised_or_trained_on(model: RewardModel) -> None:
    normal = [Comparison(row.query, row.responses[:1]) for row in comparisons(8)]
    with torch.no_grad():
        model.head.weight.zero_()
    with pytest.raises(Refused, match=r"deviation of 0.*Lower lr in \[reward\]"):
        model.normalise(normal)
    with torch.no_grad():
        model.head.weight.fill_(torch.nan)
    with pytest.raises(Refused, match=r"deviation of nan.*Lower lr"):
        model.normalise(normal)
    with pytest.raises(Refused, match=r"loss at step 0 is nan. Lower lr"):
        train_reward_model(model, comparisons(8), SETTINGS, seed=0)


@pytest.mark.parametrize("name", ["gain", "head.bias"])
def test_a_head_that_is_not_whole_is_refused(model: RewardModel, tmp_path: Path, name: str) -> None:
    model.save(tmp_path)
    kept = {key: tensor for key, tensor in load_file(tmp_path / "head.safetensors").items() if key != name}
    save_file(kept, tmp_path / "head.safetensors")
    with pytest.raises(Refused, match=f"lacks {name} of the reward model"):
        load_reward_model(tmp_path)
