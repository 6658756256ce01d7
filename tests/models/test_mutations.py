"""The checks can fail: break the learner in one place, as people have broken theirs, and the named test sees it.

Every entry is a bug that somebody shipped (docs/pitfalls.md) as a replacement in one file, and the test
that must fail with it. The tree is copied, changed and tested for real; the copy without a change passes.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.mutation
ROOT = Path(__file__).resolve().parents[2]


class Mutation(NamedTuple):
    name: str
    file: str
    changes: tuple[tuple[str, str], ...]
    caught_by: str


SCORE = "rewards[..., -1] += scores"
PRICE = "rewards = -kl_coefficient * (logprobs - reference)"
REWARDS = "tests/models/test_ppo.py::test_each_token_pays_for_its_own_divergence_and_the_last_earns_the_score"

OTHER_MODEL = """wrong = __import__("copy").deepcopy(base.model)
        [parameter.mul_(0.5) for parameter in wrong.parameters()]
        tokens = sample(wrong, contexts"""

MUTATIONS = [
    Mutation("reward sign", "models/ppo/objective.py", ((SCORE, "rewards[..., -1] -= scores"),), REWARDS),
    Mutation("KL sign", "models/ppo/objective.py", ((PRICE, PRICE.replace("-kl", "kl")),), REWARDS),
    Mutation(
        "both signs",
        "models/ppo/objective.py",
        ((SCORE, "rewards[..., -1] -= scores"), (PRICE, PRICE.replace("-kl", "kl"))),
        REWARDS,
    ),
    Mutation("score at the first index", "models/ppo/objective.py", ((SCORE, "rewards[..., 0] += scores"),), REWARDS),
    Mutation(
        "best off by one",
        "models/reward/targets.py",
        (("[[label.best_sample]]", "[[(label.best_sample + 1) % k]]"),),
        "tests/data/test_openai2019.py::test_what_was_chosen_in_the_file_is_what_is_trained_on",
    ),
    Mutation(
        "options not mapped back",
        "data/ingest/match.py",
        (("samples = key.shown[places, np.where(usable, slots, 0)]", "samples = np.where(usable, slots, 0)"),),
        "tests/data/test_answers.py",
    ),
    Mutation(
        "logits shifted by one",
        "models/lm/shared_query.py",
        (("torch.cat([of_query, of_responses[:, :, :-1]], 2)", "of_responses"),),
        "tests/models/test_shared_query.py::test_states_equal_those_of_separate_rows",
    ),
    Mutation(
        "end of text as padding",
        "models/lm/tokens.py",
        (("PAD = -1", "PAD = 0"),),
        "tests/models/test_tokens.py::test_padding_is_no_token_of_the_vocabulary",
    ),
    Mutation(
        "value not clipped",
        "models/ppo/objective.py",
        (("near = torch.minimum(torch.maximum(values, old - clip), old + clip)", "near = values"),),
        "tests/models/test_ppo.py::test_values_are_clipped_around_those_of_the_rollout",
    ),
    Mutation(
        "Bessel's variance in whitening",
        "models/ppo/objective.py",
        (("correction=0", "correction=1"),),
        "tests/models/test_ppo.py::test_whitening_uses_the_population_variance",
    ),
    Mutation(
        "temperature missing in training",
        "models/ppo/policy.py",
        (("self.language_model, states, tokens, temperature", "self.language_model, states, tokens, 1.0"),),
        "tests/models/test_ppo.py::test_at_the_start_ratio_is_1_kl_0_and_values_0",
    ),
    Mutation(
        "temperature missing in the reference",
        "models/ppo/policy.py",
        (("_states(model, c, t), t, temperature", "_states(model, c, t), t, 1.0"),),
        "tests/models/test_ppo.py::test_at_the_start_ratio_is_1_kl_0_and_values_0",
    ),
    Mutation(
        "gradient of a log-prob without its normaliser",
        "models/lm/logprobs.py",
        (("gradient * (weight[tokens] - means)", "gradient * weight[tokens]"),),
        "tests/models/test_logprobs.py::test_they_equal_the_plain_formula_with_their_gradients",
    ),
    Mutation(
        "normalised on the wrong model",
        "models/reward/dataset.py",
        (("tokens = sample(base.model, contexts", OTHER_MODEL),),
        "tests/models/test_reward.py::test_it_is_normalised_on_what_the_frozen_base_itself_writes",
    ),
    Mutation(
        "dropout on",
        "models/lm/base.py",
        (("duplicate.requires_grad_(True).eval()", "duplicate.requires_grad_(True).train()"),),
        "tests/models/test_ppo.py::test_at_the_start_ratio_is_1_kl_0_and_values_0",
    ),
    Mutation(
        "price of KL frozen",
        "models/ppo/train.py",
        (('kl.update(metrics["kl"], settings.batch)', "pass"),),
        "tests/models/test_ppo.py::test_the_adapted_price_is_the_one_that_is_paid",
    ),
    Mutation(
        "the last step bootstraps",
        "models/ppo/objective.py",
        (("torch.zeros_like(values[..., :1])", "values[..., -1:]"),),
        "tests/models/test_ppo.py::test_advantages_are_the_discounted_sum_of_errors",
    ),
    Mutation(
        "Adam's epsilon as torch has it",
        "models/training/adam.py",
        (("EPSILON / (1 - BETAS[1] ** self.steps) ** 0.5", "EPSILON"),),
        "tests/models/test_ppo.py::test_adam_is_tensorflows",
    ),
    Mutation(
        "no position ids with padding",
        "models/lm/shared_query.py",
        (("((queries != PAD).cumsum(1) - 1).clamp(min=0)", "torch.arange(queries.shape[1]).expand_as(queries)"),),
        "tests/models/test_shared_query.py::test_states_equal_those_of_separate_rows",
    ),
    Mutation(
        "invalid responses pay instead of being replaced",
        "models/ppo/policy.py",
        (("scores.masked_fill(~valid, fmt.invalid_score)", "scores + fmt.invalid_score * ~valid"),),
        "tests/models/test_ppo.py::test_an_invalid_response_scores_exactly_what_the_campaign_says",
    ),
    Mutation(
        "truncated one token early",
        "models/lm/tokens.py",
        (("stops[..., :after] = False", "stops[..., : after - 1] = False"),),
        "tests/models/test_tokens.py",
    ),
    Mutation(
        "the reference learns too",
        "models/lm/base.py",
        (("copy.deepcopy(model)", "model"),),
        "tests/models/test_ppo.py::test_training_leaves_the_reference_alone_and_repeats_itself",
    ),
]


def run(tree: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project to break."""
    copy = tmp_path_factory.mktemp("mutations") / "tree"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "docs", "andon-*", "build")
    shutil.copytree(ROOT, copy, ignore=ignored)
    return copy


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_known_bug_is_caught(tree: Path, mutation: Mutation) -> None:
    file = tree / mutation.file
    whole = file.read_text()
    broken = whole
    for old, new in mutation.changes:
        assert old in broken, f"{mutation.name}: the line it breaks is gone; break its successor"
        broken = broken.replace(old, new)
    try:
        file.write_text(broken)
        result = run(tree, mutation.caught_by)
    finally:
        file.write_text(whole)
    assert result.returncode == 1, f"{mutation.name} went unseen:\n{result.stdout[-2000:]}{result.stderr[-500:]}"
    assert "ERROR" not in result.stdout, f"{mutation.name} did not run:\n{result.stdout[-2000:]}"


def test_the_same_tests_pass_where_nothing_is_broken(tree: Path) -> None:
    result = run(tree, *sorted({mutation.caught_by for mutation in MUTATIONS}))
    assert result.returncode == 0, result.stdout[-2000:]
