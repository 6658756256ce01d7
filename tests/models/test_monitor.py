"""The sentry beside a real training: it changes no bit of it, and pulls the cord where the training is broken."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from data.campaign import load_campaign
from data.cord import cord
from data.errors import Stopped
from data.measures.agreement import PairAgreement
from data.measures.intervals import proportion
from data.runs.step_facts import Inspection, PolicyUpdate
from data.store import LocalStore
from data.store.manifest import Publication, publish
from models.lm.base import Base, best_device, fingerprint
from models.lm.sampling import draw_noise
from models.monitoring.canaries import Canary, recalled, remembered
from models.monitoring.monitor import largest_error
from models.monitoring.preflight import reference_differs
from models.monitoring.run_checks import check_reward_model, open_monitor
from models.ppo.objective import token_rewards
from models.ppo.policy import PolicyModel, roll_out
from models.ppo.train import PolicyHooks, Update, train_policy
from models.reward.dataset import base_responses
from models.reward.ensemble import Ensemble, load_ensemble
from models.reward.model import HeldOut, new_reward_model
from models.training.job import Job

pytestmark = pytest.mark.flow  # no server, but a training and its second opinion each
SIZES = {"policy": {"episodes": 96, "batch": 32, "micro_batch": 8}, "reward": {"normalisation_samples": 128}}
CAMPAIGN = load_campaign("sentiment", changes=SIZES)
QUERIES = [[5, 9, 300, 7], [8] * 40, [1, 2], [90, 91, 92], [7] * 10, [1], [2, 3, 4], [500, 501]]


class Prepared(NamedTuple):
    job: Job
    base: Base
    scorer: Publication


def reward_model(base: Base, seed: int) -> Ensemble:
    model = new_reward_model(base.model, seed)
    model.normalise(base_responses(base, QUERIES, base.prompts(CAMPAIGN.text), 256, seed))
    return Ensemble([model])


@pytest.fixture
def prepared(tiny: Base, tmp_path: Path) -> Prepared:
    """A run whose reward model is published, with the pairs that it tells apart."""
    store, score = LocalStore(tmp_path / "store"), reward_model(tiny, 1)
    job = Job(store.uri, CAMPAIGN, "run-a", "ls", 3)
    rows = base_responses(tiny, QUERIES, tiny.prompts(CAMPAIGN.text), 64, 9)
    fresh = score.scores(rows)
    known = [Canary(rows[i].query, [rows[i].responses[0], rows[i + 1].responses[0]], 0) for i in range(40)]
    pairs = remembered(score, known, best_device())
    assert len(pairs) > 5
    score.save(tmp_path / "reward")
    files: dict[str, Path | bytes] = {f.name: f for f in (tmp_path / "reward").iterdir()}
    files["canaries.json"] = json.dumps(pairs).encode()
    facts = {"base_score_mean": float(fresh.mean()), "base_score_std": float(fresh.std())}
    facts["base_score_queries"] = 64  # of the few here every one is asked often, by both
    scorer = publish(store, job.prefix("reward"), "reward", files, inputs={}, facts=facts, began=datetime.now(UTC))
    return Prepared(job, tiny, scorer)


def trained(
    prepared: Prepared, score: Ensemble, watched: bool = True, known: list[list[int]] = QUERIES
) -> tuple[str, list[PolicyUpdate]]:
    """Train as the policy's step does; return a hash of the weights and the metrics."""
    job, base, scorer = prepared
    history: list[PolicyUpdate] = []

    def look() -> None:
        cord.check(LocalStore(Path(job.store)), CAMPAIGN.name, job.run)

    def go(inspect: Callable[[Update], Inspection]) -> str:
        policy = train_policy(
            CAMPAIGN.policy, base.prompts(CAMPAIGN.text), base.model, score, QUERIES, job.seed,
            PolicyHooks(look, log=history.append, inspect=inspect),
        )  # fmt: skip
        return fingerprint(policy.language_model)

    if not watched:
        return go(lambda update: {}), history
    try:
        with open_monitor(job, base, score, scorer, known, history) as inspect:
            return go(inspect), history
    except Stopped:
        return "", history


def pulls(prepared: Prepared) -> set[str]:
    return {each.pull.by for each in cord.pulls(LocalStore(Path(prepared.job.store)))}


def test_a_sound_training_is_left_alone_and_has_the_same_bits_as_without_a_monitor(prepared: Prepared) -> None:
    score = load_ensemble(prepared.scorer.folder())
    alone, _ = trained(prepared, score, watched=False)
    with_monitor, history = trained(prepared, score)
    assert with_monitor == alone
    assert pulls(prepared) == set() and len(history) == 3
    assert all(m["score_error"] < 1e-3 and m["paid_error"] < 1e-5 for m in history)


def flipped(scores: Tensor, logprobs: Tensor, reference: Tensor, kl_coefficient: float) -> Tensor:
    return token_rewards(-scores, logprobs, reference, kl_coefficient)


def kl_rewarded(scores: Tensor, logprobs: Tensor, reference: Tensor, kl_coefficient: float) -> Tensor:
    return token_rewards(scores, logprobs, reference, -kl_coefficient)


@pytest.mark.parametrize("broken", [flipped, kl_rewarded])
def test_a_sign_that_is_flipped_stops_the_training_within_two_updates(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch, broken: Callable[..., Tensor]
) -> None:
    monkeypatch.setattr("models.ppo.train.token_rewards", broken)
    _, history = trained(prepared, load_ensemble(prepared.scorer.folder()))
    assert "sentinel:reward-mismatch" in pulls(prepared) and len(history) <= 2


def test_another_reward_model_than_the_published_one_is_seen_before_the_first_update(prepared: Prepared) -> None:
    _, history = trained(prepared, reward_model(prepared.base, 2))
    assert "sentinel:canaries" in pulls(prepared) and not history


def test_scores_that_were_normalised_on_another_model_are_seen_before_the_first_update(
    prepared: Prepared, tmp_path: Path
) -> None:
    job, base, _ = prepared
    store, other = LocalStore(tmp_path / "store-b"), copy.deepcopy(base.model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.3)
    rows = base_responses(replace(base, model=other), QUERIES, base.prompts(CAMPAIGN.text), 384, 9)
    model = new_reward_model(base.model, 1)
    model.normalise(rows[:256])
    score = Ensemble([model])
    fresh = score.scores(rows[256:])
    score.save(tmp_path / "wrong")
    files: dict[str, Path | bytes] = {f.name: f for f in (tmp_path / "wrong").iterdir()}
    facts = {"base_score_mean": float(fresh.mean()), "base_score_std": float(fresh.std())}
    facts["base_score_queries"] = 64  # of the few here every one is asked often, by both
    wrong = publish(store, job.prefix("reward"), "reward", files, inputs={}, facts=facts, began=datetime.now(UTC))
    there = Prepared(replace(job, store=store.uri), base, wrong)
    _, history = trained(there, score)
    assert pulls(there) == {"sentinel:unlike-base"} and not history


def test_a_reference_that_is_not_the_base_is_seen(tiny: Base) -> None:
    other = copy.deepcopy(tiny.model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.3)
    policy = PolicyModel(tiny.model)
    noise = draw_noise(len(QUERIES), 2, CAMPAIGN.text, torch.Generator().manual_seed(0))
    for reference, alarmed in ((tiny.model, False), (other, True)):
        rollout = roll_out(
            policy, reference, lambda queries, responses: responses[..., 0].float(), QUERIES, noise,
            tiny.prompts(CAMPAIGN.text), 4,
        )  # fmt: skip
        assert (reference_differs(tiny.model, rollout, CAMPAIGN.text.temperature) is not None) == alarmed


def test_queries_that_are_not_the_campaigns_stop_the_training(prepared: Prepared) -> None:
    score = load_ensemble(prepared.scorer.folder())
    _, history = trained(prepared, score, known=QUERIES[:4])
    assert "sentinel:other-queries" in pulls(prepared) and len(history) <= 1


def test_one_score_that_is_off_counts_in_full_but_in_bf16() -> None:
    assert largest_error([0.0] * 31 + [0.3], rounded=False) == 0.3
    assert largest_error([0.0] * 31 + [0.3], rounded=True) < 0.1
    assert (
        largest_error([0.3] * 32, rounded=True) == pytest.approx(0.3)
        and largest_error([0.0] * 31 + [2.0], rounded=True) == 0.5
    )


def test_a_person_who_has_looked_may_let_the_run_go_on(prepared: Prepared) -> None:
    store, other = LocalStore(Path(prepared.job.store)), reward_model(prepared.base, 2)
    for _ in range(3):
        _, history = trained(prepared, other)
        for made in cord.open_pulls(store):
            cord.release(store, made.pull, by="ada", reason="meant so")
    assert len(history) == 3, "what was released once for this run does not pull again"


def test_pairs_are_recalled_by_the_model_that_ranked_them_and_not_by_its_opposite(prepared: Prepared) -> None:
    score = load_ensemble(prepared.scorer.folder())
    pairs = json.loads(prepared.scorer.path("canaries.json").read_text())
    ranked, error = recalled(score, pairs, best_device())
    assert ranked.value == 1 and error < 1e-4
    ranked, _ = recalled(lambda queries, responses: -score(queries, responses), pairs, torch.device("cpu"))
    assert ranked.value == 0


def test_a_reward_model_is_held_to_how_often_the_labelers_of_its_own_labels_agree(prepared: Prepared) -> None:
    right = proportion(190, 200)
    steps: Any = [{"labels": 400.0, "accuracy": 0.6}, {"labels": 800.0, "accuracy": 0.6}]
    held_out, score = HeldOut(right, 0.25, right, 1.0, None), reward_model(prepared.base, 1)
    check_reward_model(prepared.job, score, [], held_out, steps, None)
    assert pulls(prepared) == set(), "nobody was asked twice"
    check_reward_model(prepared.job, score, [], held_out, steps, PairAgreement(proportion(200, 400), options=4))
    assert pulls(prepared) == {"sentinel:too-good"}
