"""The check of a base for a campaign. It computes in fp32, so a wrong formula cannot hide in rounding."""

import torch

from data.base_check.facts import BaseCheck, CheckCode, findings
from data.campaign import Campaign
from data.escape import shown_name
from models.base_check.copies import compare_copies
from models.base_check.estimates import export_seconds, policy_bytes, policy_seconds
from models.base_check.logprobs import Drawn, compare_sampling, compare_training, largest
from models.base_check.material import Material, material
from models.base_check.scores import compare_scores
from models.base_check.stages import Findings
from models.base_check.texts import compare_texts
from models.lm.base import Base
from models.lm.checkpoint_folder import reading
from models.lm.logprobs import response_logprobs
from models.lm.memory import free_bytes
from models.lm.precision import Precision, computing_in, exact, training_precision


def check_base(base: Base, campaign: Campaign) -> BaseCheck:
    """Compare the learner's code with the base's own forward pass; every deviation and every error is a finding.

    No random number of a training is used, and the base does not change.
    """
    collected = Findings(base.model.device)
    with exact(), torch.random.fork_rng():
        with reading(f"The base {shown_name(base.name)} cannot be checked: its tokenizer"):
            of = material(base, campaign)
        shown, trained, needed = None, None, None
        drawn = compare_sampling(of, collected)
        if drawn is not None:
            shown = compare_texts(of, collected)
            trained = compare_training(of, drawn, collected)
            compare_scores(of, drawn, collected)
            compare_copies(of, drawn, collected)
            with collected.stage("estimate of memory", CheckCode.POLICY):  # every training makes it
                needed = policy_bytes(base, campaign)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # of the copies, before the base samples a batch
    faults = findings(collected.comparisons)
    return BaseCheck(
        passed=not faults,
        base=base.name,
        architecture=str(base.model.config.model_type),
        parameters=base.model.num_parameters(),
        comparisons=collected.comparisons,
        own_queries=of.own,
        valid=shown.valid if shown else 0,
        sampled=shown.sampled if shown else 0,
        samples=shown.samples if shown else [],
        stages=collected.stages,
        noise=_noise(of, drawn) if drawn is not None and not faults else None,
        export_seconds=export_seconds(shown, campaign),
        policy_seconds=policy_seconds(shown, trained, campaign),
        policy_bytes=needed,
        free_bytes=free_bytes(base.model.device),
    )


def _noise(of: Material, drawn: Drawn) -> float | None:
    """Return how much the precision of a training changes log-probs, in nats a token; None in fp32."""
    kind, tokens = training_precision(of.base.model), drawn.samples.tokens
    if kind == Precision.FP32:
        return None
    with computing_in(kind):
        rounded = response_logprobs(of.base.model, drawn.contexts, tokens, of.prompts.fmt.temperature, len(tokens))
    return largest(rounded, drawn.plain.logprobs)
