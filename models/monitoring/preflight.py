"""Preflight: checks before the first update that the fast code agrees with plain code on the models of this run.

- Log-probabilities of policy and reference, compared with the forward pass of transformers on unpadded single rows.
- Scores with and without padding.
- No shared weights, no dropout, no padding token in the vocabulary.
- Scores of the base, on responses from the `generate` of transformers, by the shadow scorer.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel

from data.cord.alarms import Alarm
from data.cord.limits import NOISES
from models.lm.head import body_of
from models.lm.logprobs import chosen_logprobs, response_logprobs
from models.lm.plain import plain_logprobs
from models.lm.precision import autocast
from models.lm.prompts import Prompts
from models.lm.sampling import draw_noise, sample
from models.lm.tokens import PAD, pad_left
from models.ppo.policy import PolicyModel, Rollout, Score
from models.training.loop import in_chunks


class PreflightCode(StrEnum):
    PREFLIGHT = "preflight"


EXACT = 1e-3  # largest mean error of a token's log-prob in fp32, in nats; 1e-5 is usual
QUERIES = 4
SAMPLES = 256  # valid responses of the base
TRIES = 8  # largest number of drawn responses, as a multiple of SAMPLES


class Preflight(NamedTuple):
    """The alarms of the checks, and the mean error that rounding makes in a token's log-prob, in nats; 0 in fp32."""

    alarms: list[Alarm]
    noise: float


@torch.no_grad()
def run_preflight(
    policy: PolicyModel,
    reference: PreTrainedModel,
    score: Score,
    queries: Sequence[list[int]],
    prompts: Prompts,
) -> Preflight:
    """Run all checks. No random number of the training is used."""
    raised = [_vocabulary(reference), _shared(policy, reference)]
    temperature = prompts.fmt.temperature
    device = next(reference.parameters()).device
    few = sorted(queries[: 16 * QUERIES], key=len)[:: 16 * QUERIES // QUERIES][:QUERIES] or queries[:QUERIES]
    contexts = prompts.contexts(few).to(device)
    noise = draw_noise(len(few), 2, prompts.fmt, torch.Generator().manual_seed(0))
    drawn = sample(policy.language_model, contexts, noise, prompts.fmt, policy.value_head)
    plain = [plain_logprobs(model, contexts, drawn.tokens, temperature) for model in (policy.language_model, reference)]
    rounding = rounding_noise(reference, contexts, drawn.tokens, temperature)
    fast = {
        "sampling": (drawn.logprobs, plain[0]),
        "training": (policy(contexts, drawn.tokens, temperature)[0], plain[0]),
        "the reference": (response_logprobs(reference, contexts, drawn.tokens, temperature, 1), plain[1]),
    }
    for name, (ours, expected) in fast.items():
        error = float((ours - expected).abs().mean())
        if not error <= bound(rounding):
            causes = ("temperature is missing", "positions or padding are wrong", "logits are shifted", "dropout is on")
            text = f"log-probs of {name} are off by {error:.4f} nats a token; rounding explains {bound(rounding):.4f}"
            raised.append(Alarm(PreflightCode.PREFLIGHT, text, causes))
    raised.append(_padding(score, pad_left(few).to(device), drawn.tokens, prompts))
    return Preflight([alarm for alarm in raised if alarm is not None], rounding)


@torch.no_grad()
def rounding_noise(model: PreTrainedModel, contexts: Tensor, tokens: Tensor, temperature: float) -> float:
    """Return the mean difference that this precision makes in the log-probs of plain rows, in nats a token; 0 in fp32.

    Only the states of the plain model are rounded, because the learner computes its logits in fp32.
    """
    changes = []
    for context, responses in zip(contexts, tokens, strict=True):
        for response in responses:
            row = torch.cat([context[context >= 0], response])[None]
            exact = body_of(model)(input_ids=row).last_hidden_state[0, -len(response) - 1 : -1]
            with autocast(row.device):
                rounded = body_of(model)(input_ids=row).last_hidden_state[0, -len(response) - 1 : -1].float()
            pair = [chosen_logprobs(model, states, response, temperature)[0] for states in (exact, rounded)]
            changes.append((pair[0] - pair[1]).abs())
    return float(torch.cat(changes).mean())


def bound(noise: float) -> float:
    """Return the largest mean error of a token's log-prob that is rounding, in nats."""
    return max(EXACT, NOISES * noise)


@torch.no_grad()
def scores_of_base(
    reference: PreTrainedModel,
    ask: Callable[[list[list[int]], list[list[int]]], list[float | None]],
    queries: Sequence[list[int]],
    prompts: Prompts,
    at_once: int,
) -> list[float]:
    """Return the shadow scorer's scores of valid responses of the base, which transformers samples.

    Fewer than SAMPLES are returned if TRIES * SAMPLES responses have fewer valid ones.

    `ask` is the shadow scorer. `at_once` is the number of responses that are sampled together.
    """
    fmt, device = prompts.fmt, next(reference.parameters()).device
    order = torch.randperm(len(queries), generator=torch.Generator().manual_seed(0)).tolist()
    often = -(-TRIES * SAMPLES // len(order))
    # This overrides the checkpoint's generation settings: no top-k, top-p or penalties, no stop at the end of text.
    plainly = GenerationConfig(
        do_sample=True, temperature=fmt.temperature, top_k=0, top_p=1.0, repetition_penalty=1.0, eos_token_id=None,
        min_new_tokens=fmt.response_tokens, max_new_tokens=fmt.response_tokens, pad_token_id=0,
    )  # fmt: skip
    valid: list[float] = []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for part in in_chunks((order * often)[: TRIES * SAMPLES], min(at_once, SAMPLES)):
            rows = [queries[i] for i in part]
            contexts = prompts.contexts(rows).to(device)
            mask = (contexts >= 0).long()
            drawn = cast(Any, reference).generate(contexts.clamp(min=0), attention_mask=mask, generation_config=plainly)
            scores = ask(rows, drawn[:, contexts.shape[1] :].tolist())
            valid += [score for score in scores if score is not None]
            if len(valid) >= SAMPLES:
                break
    return valid


@torch.no_grad()
def reference_differs(
    reference: PreTrainedModel, rollout: Rollout, temperature: float, most: float = EXACT
) -> Alarm | None:
    """Return an alarm if the reference log-probs of some rows differ from the base's by plain code by more than `most`.

    The difference is a mean in nats a token.
    """
    some = torch.linspace(0, len(rollout.tokens) - 1, QUERIES).long().to(rollout.tokens.device)
    plain = plain_logprobs(reference, rollout.contexts[some], rollout.tokens[some, :1], temperature)
    error = float((rollout.reference[some, :1] - plain).abs().mean())
    if error <= most:
        return None
    causes = ("KL is measured to another model", "the reference is trained", "rows are mixed up")
    return Alarm(
        PreflightCode.PREFLIGHT,
        f"log-probs of the reference are off by {error:.4f} nats a token from the base's",
        causes,
    )


def _vocabulary(reference: PreTrainedModel) -> Alarm | None:
    if not 0 <= PAD < reference.config.vocab_size:
        return None
    causes = ("the end of text is used as padding",)
    return Alarm(PreflightCode.PREFLIGHT, f"padding is {PAD}, a token that can be sampled", causes)


def _shared(policy: PolicyModel, reference: PreTrainedModel) -> Alarm | None:
    """Return an alarm if policy and reference share weights, or if dropout is on."""
    of_reference = {parameter.data_ptr() for parameter in reference.parameters()}
    if not any(parameter.data_ptr() in of_reference for parameter in policy.parameters()):
        modules: list[nn.Module] = [*policy.modules(), *reference.modules()]
        if not any(module.training and isinstance(module, nn.Dropout) and module.p > 0 for module in modules):
            return None
        return Alarm(PreflightCode.PREFLIGHT, "dropout is on", ("a model was put into training mode",))
    return Alarm(PreflightCode.PREFLIGHT, "policy and reference share weights", ("the reference is no copy",))


def _padding(score: Score, queries: Tensor, tokens: Tensor, prompts: Prompts) -> Alarm | None:
    """Return an alarm if a score depends on the padding around its query and response."""
    short = prompts.truncate(tokens)[0]
    wider = torch.nn.functional.pad(queries, (7, 0), value=PAD), torch.nn.functional.pad(short, (0, 5), value=PAD)
    error = float((score(queries, short) - score(*wider)).abs().max())
    if error <= 0.25:
        return None
    return Alarm(
        PreflightCode.PREFLIGHT, f"scores change by {error:.2f} with padding", ("padding is read", "no position ids")
    )
