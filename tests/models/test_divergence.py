"""A training that diverges ends in one line, and no state that is not finite is ever saved."""

from pathlib import Path

import pytest
import torch

from data.campaign import load_campaign
from data.errors import Refused, Stopped
from data.runs.checkpoints import Checkpoints
from data.runs.step_facts import PolicyUpdate
from data.store import LocalStore
from models.lm.base import Base
from models.ppo.train import PolicyHooks, Update, train_policy
from models.training.adam import Adam
from models.training.checkpoint import is_finite, restore_state, save_state

CAMPAIGN = load_campaign("sentiment", changes={"policy": {"episodes": 48, "batch": 8, "lr": 1e-3}})
QUERIES = [[5, 9, 300, 7], [8] * 40, [1, 2], [90, 91, 92]]


def diverging(base: Base, hooks: PolicyHooks, at: int) -> None:
    """Train a policy whose scores are no numbers from update `at` on, as those of a diverged reward model."""
    rollouts = 0

    def score(queries: torch.Tensor, responses: torch.Tensor) -> torch.Tensor:
        nonlocal rollouts
        rollouts += 1
        scores = (responses == 7).sum(-1).float()
        return scores if rollouts <= at else scores / 0 * 0

    train_policy(CAMPAIGN.policy, base.prompts(CAMPAIGN.text), base.model, score, QUERIES, 3, hooks)


def test_a_policy_that_diverges_is_refused_in_a_line_and_its_last_finite_state_is_kept(
    tiny: Base, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(LocalStore(tmp_path), "runs/r/policy", 1)
    logged: list[PolicyUpdate] = []
    for _ in range(2):  # also if it continues from what was saved
        with pytest.raises(Refused, match=r"diverged: in update 2 .* Lower lr in \[policy\]"):
            diverging(tiny, PolicyHooks(checkpoints=checkpoints, log=logged.append), at=2 - checkpoints.newest())
        assert checkpoints.newest() == 2 and is_finite([dict(metrics) for metrics in logged])


def test_it_is_stopped_if_a_sentinel_pulled_the_cord_for_it(tiny: Base, tmp_path: Path) -> None:
    checkpoints, pulled = Checkpoints(LocalStore(tmp_path), "runs/r/policy", 1), []

    def inspect(update: Update) -> dict[str, float]:
        pulled.extend([] if is_finite(dict(update.metrics)) else [update.number])
        return {}

    def last_look() -> None:
        if pulled:
            raise Stopped([])

    with pytest.raises(Stopped):
        diverging(tiny, PolicyHooks(checkpoints=checkpoints, inspect=inspect, last_look=last_look), at=1)  # type: ignore[arg-type]
    assert pulled == [1] and checkpoints.newest() == 1


@pytest.mark.parametrize("broken", ["weight", "moment", "metric"])
def test_a_state_with_a_number_that_is_not_finite_is_not_saved(tmp_path: Path, broken: str) -> None:
    model = torch.nn.Linear(2, 1)
    optimizer = Adam(model.parameters(), lr=0.1)
    checkpoints, facts = Checkpoints(LocalStore(tmp_path), "runs/r/x", 1), {"history": [{"loss": 1.0}]}

    def take_step() -> None:
        model(torch.ones(1, 2)).sum().backward()
        optimizer.step(remaining=1.0)

    take_step()
    save_state(checkpoints, 1, model, optimizer, facts)
    weight = model.weight.detach().clone()
    take_step()
    if broken == "weight":
        model.weight.data[0, 0] = torch.inf
    if broken == "moment":
        optimizer.torch.state[model.weight]["exp_avg"][0, 0] = torch.nan
    save_state(checkpoints, 2, model, optimizer, {"history": [{"loss": torch.nan}]} if broken == "metric" else facts)
    save_state(
        checkpoints, 2, model, optimizer, {"history": [{"loss": torch.nan}]} if broken == "metric" else facts, True
    )
    assert restore_state(checkpoints, model, optimizer) == (1, facts) and torch.equal(model.weight, weight)
