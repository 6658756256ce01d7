"""Known bugs of the learner, each as replacements in one file. People have shipped most of them (docs/pitfalls.md).

The mutation tests put each bug that names a test into a copy of the tree and watch that test fail. The bug bench
(`bench/checks/bugbench.py`) trains with each bug that names a step and watches which sentinel pulls the cord.
"""

from pathlib import Path
from typing import NamedTuple


class Bug(NamedTuple):
    """Replacements in one file, the test that must fail with them, and the first training step that runs them."""

    name: str
    file: str
    changes: tuple[tuple[str, str], ...]
    caught_by: str = ""  # empty: no test of its own, the bug bench alone has it
    step: str = ""  # "reward" or "policy"; empty: the bug bench does not train with it

    def put_into(self, tree: Path) -> str:
        """Break the file in a copy of the tree; return its text from before."""
        file = tree / self.file
        before = text = file.read_text()
        for old, new in self.changes:
            if old not in text:
                raise ValueError(f"{self.name}: {self.file} no longer has the line `{old}`. Break its successor.")
            text = text.replace(old, new)
        file.write_text(text)
        return before


OBJECTIVE = "models/ppo/objective.py"
SCORE = "rewards[..., -1] += scores"
NEGATED_SCORE = (SCORE, "rewards[..., -1] -= scores")
KL_COST = "rewards = -kl_coefficient * (logprobs - reference)"
NEGATED_KL_COST = (KL_COST, KL_COST.replace("-kl", "kl"))
REWARDS = "tests/models/test_ppo.py::test_each_token_pays_for_its_own_divergence_and_the_last_earns_the_score"
AT_THE_START = "tests/models/test_ppo.py::test_at_the_start_ratio_is_1_kl_0_and_values_0"
SHARED_QUERY = "tests/models/test_shared_query.py::test_states_equal_those_of_separate_rows"
OTHER_MODEL = """wrong = __import__("copy").deepcopy(base.model)
        [parameter.mul_(0.5) for parameter in wrong.parameters()]
        tokens = sample_in_pieces(wrong, contexts"""

BUGS = (
    Bug("reward sign (2019)", OBJECTIVE, (NEGATED_SCORE,), REWARDS, "policy"),
    Bug("KL sign", OBJECTIVE, (NEGATED_KL_COST,), REWARDS, "policy"),
    Bug("both signs", OBJECTIVE, (NEGATED_SCORE, NEGATED_KL_COST), REWARDS, "policy"),
    Bug("score at the first index", OBJECTIVE, ((SCORE, "rewards[..., 0] += scores"),), REWARDS, "policy"),
    Bug(
        "best off by one",
        "data/answers/best.py",
        (("choices([[stored]], k)", "choices([[(stored + 1) % k]], k)"),),
        "tests/data/test_openai2019.py::test_what_was_chosen_in_the_file_is_what_is_trained_on",
        "reward",
    ),
    Bug(
        "options not mapped back",
        "data/ingest/match.py",
        (("samples = key.shown[places, np.where(usable, slots, 0)]", "samples = np.where(usable, slots, 0)"),),
        "tests/data/test_answers.py",
    ),
    Bug(
        "logits shifted by one",
        "models/lm/shared_query.py",
        (("torch.cat([of_query, of_responses[:, :, :-1]], 2)", "of_responses"),),
        SHARED_QUERY,
    ),
    Bug(
        "end of text as padding",
        "models/lm/tokens.py",
        (("PAD = -1", "PAD = 0"),),
        "tests/models/test_tokens.py::test_padding_is_no_token_of_the_vocabulary",
        "policy",
    ),
    Bug(
        "value not clipped",
        OBJECTIVE,
        (("near = torch.minimum(torch.maximum(values, old - clip), old + clip)", "near = values"),),
        "tests/models/test_ppo.py::test_values_are_clipped_around_those_of_the_rollout",
    ),
    Bug(
        "Bessel's variance in whitening",
        OBJECTIVE,
        (("correction=0", "correction=1"),),
        "tests/models/test_ppo.py::test_whitening_uses_the_population_variance",
    ),
    Bug(
        "temperature missing in training",
        "models/ppo/policy.py",
        (("self.language_model, states, tokens, temperature", "self.language_model, states, tokens, 1.0"),),
        AT_THE_START,
    ),
    Bug(
        "temperature missing in the reference",
        "models/lm/logprobs.py",
        (("body_of(model), c, t), t, temperature", "body_of(model), c, t), t, 1.0"),),
        AT_THE_START,
        "policy",
    ),
    Bug(
        "gradient of a log-prob without its normaliser",
        "models/lm/logprobs.py",
        (("gradient * (slopes[:, None] * weight[tokens] - means)", "gradient * slopes[:, None] * weight[tokens]"),),
        "tests/models/test_logprobs.py::test_they_equal_the_plain_formula_with_their_gradients",
    ),
    Bug(
        "normalised on the wrong model",
        "models/reward/dataset.py",
        (("tokens = sample_in_pieces(base.model, contexts", OTHER_MODEL),),
        "tests/models/test_reward.py::test_it_is_normalised_on_what_the_frozen_base_itself_writes",
        "reward",
    ),
    Bug(
        "dropout on",
        "models/lm/base.py",
        (("duplicate.requires_grad_(True).eval()", "duplicate.requires_grad_(True).train()"),),
        AT_THE_START,
        "policy",
    ),
    Bug(
        "KL coefficient frozen",
        "models/ppo/train.py",
        (('kl.update(metrics["kl"], settings.batch)', "pass"),),
        "tests/models/test_ppo.py::test_the_adapted_price_is_the_one_that_is_paid",
    ),
    Bug(
        "the last step bootstraps",
        OBJECTIVE,
        (("torch.zeros_like(values[..., :1])", "values[..., -1:]"),),
        "tests/models/test_ppo.py::test_advantages_are_the_discounted_sum_of_errors",
    ),
    Bug(
        "Adam's epsilon as torch has it",
        "models/training/adam.py",
        (("EPSILON / (1 - BETAS[1] ** self.steps) ** 0.5", "EPSILON"),),
        "tests/models/test_ppo.py::test_adam_is_tensorflows",
    ),
    Bug(
        "no position ids with padding",
        "models/lm/shared_query.py",
        (("((queries != PAD).cumsum(1) - 1).clamp(min=0)", "torch.arange(queries.shape[1]).expand_as(queries)"),),
        SHARED_QUERY,
    ),
    Bug(
        "invalid responses pay instead of being replaced",
        "models/ppo/policy.py",
        (("scores.masked_fill(~valid, fmt.invalid_score)", "scores + fmt.invalid_score * ~valid"),),
        "tests/models/test_ppo.py::test_an_invalid_response_scores_exactly_what_the_campaign_says",
    ),
    Bug(
        "truncated one token early",
        "models/lm/tokens.py",
        (("found[..., :after] = False", "found[..., : after - 1] = False"),),
        "tests/models/test_tokens.py",
    ),
    Bug(
        "reference updated",
        "models/lm/base.py",
        (("copy.deepcopy(model)", "model"),),
        "tests/models/test_ppo.py::test_training_leaves_the_reference_alone_and_repeats_itself",
        "policy",
    ),
    Bug(
        "reward model of another run",
        "models/steps.py",
        (("load_ensemble(scorer.folder())", 'load_ensemble(Path(__import__("os").environ["OTHER_REWARD"]))'),),
        step="policy",
    ),
    Bug(
        "learning rate times 100",
        "models/ppo/train.py",
        (("policy.parameters(), settings.lr", "policy.parameters(), 100 * settings.lr"),),
        step="policy",
    ),
    Bug(
        "sign of the loss",
        OBJECTIVE,
        (("return torch.maximum(-advantages * ratio", "return -torch.maximum(-advantages * ratio"),),
        step="policy",
    ),
    Bug(
        "sign of the advantages",
        "models/ppo/train.py",
        (("advantages = whiten(advantages, keep_mean=False)", "advantages = -whiten(advantages, keep_mean=False)"),),
        step="policy",
    ),
    Bug(
        "scores negated before PPO",
        "models/reward/ensemble.py",
        (("for member in self.members]).mean(0)", "for member in self.members]).mean(0).neg()"),),
        step="policy",
    ),
)
