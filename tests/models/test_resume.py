"""A training that was killed goes on to the same weights and metrics, bit by bit, wherever it was killed."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import FalconConfig, FalconForCausalLM

from data.campaign import Campaign, load_campaign
from data.campaign.settings import Supervised
from data.errors import Stopped
from data.runs.checkpoints import Checkpoints
from data.store import LocalStore
from data.store.manifest import publish
from models.lm.base import Base, fingerprint
from models.lm.precision import Precision, computing_in
from models.ppo.train import PolicyHooks, train_policy
from models.reward.model import new_reward_model, train_reward_model
from models.reward.preferences import best_of
from models.steps import policy_step, reward_step, supervised_step
from models.supervised.fine_tune import fine_tune
from models.training.hooks import Hooks
from models.training.job import Job
from models.training.loop import Look, unwatched

CAMPAIGN = load_campaign("sentiment")
QUERIES = [[5, 9, 300, 7], [8] * 40, [1, 2], [90, 91, 92], [7] * 10, [1]]
STEPS = 6
History = list[Any]  # the steps of one training, of a type of its own
Training = Callable[[Base, Checkpoints | None], tuple[str, History]]  # fingerprint of the weights, and metrics


class Killed(Exception):
    """Stands for a process that is gone: nothing of it survives but the store."""


class Dying(Checkpoints):
    """The checkpoints of a process that is killed after `dies_at` steps."""

    def __init__(self, store: LocalStore, every: int, dies_at: int) -> None:
        super().__init__(store, "runs/r/step", every)
        self.dies_at = dies_at

    def due(self, step: int) -> bool:
        if step > self.dies_at:
            raise Killed
        return super().due(step)


def reward_training(base: Base, checkpoints: Checkpoints | None, look: Look = unwatched) -> tuple[str, History]:
    draw = torch.Generator().manual_seed(0)
    rows = [best_of([5, 6, i], torch.randint(100, 400, (4, 8), generator=draw).tolist(), i % 4) for i in range(30)]
    model = new_reward_model(base.model, 3)
    history = train_reward_model(
        model, rows, CAMPAIGN.reward.model_copy(update={"batch": 5}), 3, Hooks(look, checkpoints=checkpoints)
    )
    return fingerprint(model), history


def policy_training(
    base: Base, checkpoints: Checkpoints | None, look: Look = unwatched, last_look: Look = unwatched
) -> tuple[str, History]:
    changes = {"episodes": 8 * STEPS, "batch": 8, "kl_target": 1.0, "kl_horizon": 50.0, "lr": 1e-3}
    history: History = []
    policy = train_policy(
        CAMPAIGN.policy.model_copy(update=changes),
        base.prompts(CAMPAIGN.text),
        base.model,
        lambda queries, responses: (responses == 7).sum(-1).float(),
        QUERIES,
        3,
        PolicyHooks(look, checkpoints, last_look, history.append),
    )
    return fingerprint(policy), history


def fine_tuning(base: Base, checkpoints: Checkpoints | None, look: Look = unwatched) -> tuple[str, History]:
    examples = [([5, 6, i], [7, 8, i, 9]) for i in range(24)]
    model, history = fine_tune(
        base.model, examples, Supervised(batch=4, lr=1e-3), 3, Hooks(look, checkpoints=checkpoints)
    )
    return fingerprint(model), history


def test_dropout_is_on_in_this_stage_whatever_the_base_calls_it(tiny: Base, tiny_llama: Base) -> None:
    examples = [([5, 6, i], [7, 8, i, 9]) for i in range(8)]
    for base in (tiny, tiny_llama):
        tuned = {
            fingerprint(fine_tune(base.model, examples, Supervised(batch=4, lr=1e-3, dropout=share), 3)[0])
            for share in (0.0, 0.1, 0.5)
        }
        assert len(tuned) == 3, base.name


def test_a_base_that_has_a_module_for_it_is_tuned_too(tiny: Base) -> None:
    torch.manual_seed(0)
    config = FalconConfig(vocab_size=len(tiny.tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=4)
    config.attention_dropout = 0.1
    model = FalconForCausalLM(config).eval().requires_grad_(False)
    examples = [([5, 6, i], [7, 8, i, 9]) for i in range(8)]
    tuned, history = fine_tune(model, examples, Supervised(batch=4, lr=1e-3), 3)
    assert len(history) == 2 and fingerprint(tuned) != fingerprint(model)


def test_a_step_that_is_published_keeps_no_checkpoints(campaign: Campaign, tmp_path: Path) -> None:
    settings = campaign.model_copy(update={"supervised": Supervised(batch=4, lr=1e-3)})
    job = Job(str(tmp_path / "store"), settings, "run-1", "ls1", 1)
    for name, step, do in (
        ("supervised", "supervised", supervised_step),
        ("reward", "reward/member-0", reward_step),
        ("policy", "policy", policy_step),
    ):
        job.checkpoints(step, 1).save(7, {"state.safetensors": b"x"})
        publish(job.fenced_store, job.prefix(name), name, {"x": b"1"}, inputs={}, facts={}, began=datetime.now(UTC))
        do(job)  # as after a kill between the two
        assert not job.checkpoints(step, 1).newest(), name


TRAININGS = pytest.mark.parametrize("training", [reward_training, policy_training, fine_tuning])


@pytest.mark.slow
@TRAININGS
@pytest.mark.parametrize("every", [1, 2])
def test_wherever_it_is_killed_the_result_is_the_same(
    tiny: Base, tmp_path: Path, training: Training, every: int
) -> None:
    whole = training(tiny, None)
    assert len(whole[1]) == STEPS
    for dies_at in range(STEPS):
        store = LocalStore(tmp_path / f"store-{dies_at}")
        with pytest.raises(Killed):
            training(tiny, Dying(store, every, dies_at))
        found = Checkpoints(store, "runs/r/step", every).latest()
        assert (found[0] if found else 0) == dies_at // every * every
        assert training(tiny, Checkpoints(store, "runs/r/step", every)) == whole


@pytest.mark.slow
@pytest.mark.parametrize("training", [reward_training, policy_training])
def test_the_result_is_the_same_in_every_precision(tiny: Base, tmp_path: Path, training: Training) -> None:
    results = []
    for precision in (Precision.BF16, Precision.FP16):  # all other tests are in fp32
        store = LocalStore(tmp_path / precision)
        with computing_in(precision):
            with pytest.raises(Killed):
                training(tiny, Dying(store, 1, 2))
            results.append(training(tiny, Checkpoints(store, "runs/r/step", 1)))
            assert results[-1] == training(tiny, None)
    assert results[0][0] != results[1][0], "each rounds in its own way"


@pytest.mark.slow
@TRAININGS
def test_killed_again_and_again_it_still_arrives(tiny: Base, tmp_path: Path, training: Training) -> None:
    store = LocalStore(tmp_path)
    for dies_at in (1, 1, 2, 4):
        with pytest.raises(Killed):
            training(tiny, Dying(store, 1, dies_at))
    assert training(tiny, Checkpoints(store, "runs/r/step", 1)) == training(tiny, None)


def test_a_pull_in_the_last_update_loses_nothing(tiny: Base, tmp_path: Path) -> None:
    checkpoints, asked = Checkpoints(LocalStore(tmp_path), "runs/r/step", every=50), []

    def pulled() -> None:
        asked.append(checkpoints.newest())
        if len(asked) == 1:
            raise Stopped([])

    with pytest.raises(Stopped):
        policy_training(tiny, checkpoints, last_look=pulled)
    assert checkpoints.newest() == STEPS
    assert policy_training(tiny, checkpoints, last_look=pulled) == policy_training(tiny, None)
    assert asked == [0, STEPS], "and nothing is trained again"


@pytest.mark.slow
def test_only_the_last_two_are_kept_and_a_damaged_one_is_passed_over(tiny: Base, tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    checkpoints = Checkpoints(store, "runs/r/step", 1)
    with pytest.raises(Killed):
        policy_training(tiny, Dying(store, 1, 4))
    manifests = [key for key in store.keys("runs") if key.endswith("manifest.json")]
    assert [key.split("/")[-2] for key in manifests] == ["00000003", "00000004"]
    (weights,) = tmp_path.glob("runs/r/step/checkpoints/00000004/*/state.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    found = checkpoints.latest()
    assert found is not None and found[0] == 3
    assert policy_training(tiny, checkpoints) == policy_training(tiny, None)
    checkpoints.clear()
    assert checkpoints.latest() is None and not store.keys("runs")


def test_a_checkpoint_holds_no_pickle(tiny: Base, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        reward_training(tiny, Dying(LocalStore(tmp_path), 1, 1))
    assert {path.suffix for path in tmp_path.glob("runs/**/*") if path.is_file()} == {".safetensors", ".json"}
