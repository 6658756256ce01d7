"""Comparisons of log-probabilities: sampling and training with the model's own forward pass, and with itself alone.

Shapes: B contexts, k responses to each, R tokens. `noise` [B, k, R] decides the responses.
"""

import time
from typing import NamedTuple

import torch
from torch import Tensor, nn

from data.base_check.facts import CheckCode
from models.base_check.material import Material
from models.base_check.stages import BOUND, Findings
from models.lm.logprobs import response_logprobs
from models.lm.plain import PlainResponses, plain_responses
from models.lm.sampling import Samples, draw_noise, sample
from models.lm.tokens import PAD
from models.ppo.policy import PolicyModel

K = 2  # responses to a query
WIDER = 7  # columns of padding that must change nothing


class Drawn(NamedTuple):
    """Responses of the base, and what its own forward pass says about them."""

    contexts: Tensor  # [B, C]
    noise: Tensor  # [B, k, R]
    samples: Samples
    plain: PlainResponses


def compare_sampling(of: Material, findings: Findings) -> Drawn | None:
    """Compare sampled log-probs and tokens with the model's own softmax; None if nothing could be sampled."""
    fmt, model = of.prompts.fmt, of.base.model
    drawn = None
    with findings.stage("sampling", CheckCode.SAMPLING, CheckCode.DRAWS, CheckCode.NEIGHBORS):
        contexts = of.prompts.contexts(of.ragged).to(model.device)
        noise = draw_noise(len(contexts), K, fmt, torch.Generator().manual_seed(0)).to(model.device)
        samples = sample(model, contexts, noise, fmt)
        plain = plain_responses(model, contexts, samples.tokens, fmt.temperature)
        drawn = Drawn(contexts, noise, samples, plain)
        findings.add(CheckCode.SAMPLING, largest(samples.logprobs, plain.logprobs))
        findings.add(CheckCode.DRAWS, float(outside(plain, noise).max()))
        findings.add(CheckCode.NEIGHBORS, _alone(of, drawn))
    return drawn


def largest(ours: Tensor, expected: Tensor) -> float:
    """Return the mean error of a token's log-prob [B, k, R] in nats, of the response where it is largest."""
    return float((ours.double() - expected).abs().mean(-1).max())


def outside(plain: PlainResponses, noise: Tensor) -> Tensor:
    """Return how far each random number [B, k, R] is outside the interval that draws the token by the softmax."""
    return torch.maximum(plain.low - noise, noise - plain.high).clamp(min=0)


def _alone(of: Material, drawn: Drawn) -> float:
    """Return the largest change of a response if it is sampled alone, or with more padding and next to another one.

    A random number at the edge between two tokens may draw either, by rounding. Then the tokens before are compared.
    The model's own softmax tells where the edges are. If the learner deviates from it, the two ids are neighbors.
    """
    fmt, model, noise = of.prompts.fmt, of.base.model, drawn.noise
    deviates = largest(drawn.samples.logprobs, drawn.plain.logprobs) > BOUND
    wider = nn.functional.pad(drawn.contexts, (WIDER, 0), value=PAD)
    others = torch.cat([noise[:, :1], 1 - noise[:, :1]], 1)
    short = drawn.contexts[-1:]
    again = [
        (slice(-1, None), sample(model, short[:, (short[0] == PAD).sum() :], noise[-1:, :1], fmt)),
        (slice(None), sample(model, wider, others, fmt)),
    ]
    errors = []
    for rows, samples in again:
        first, second = drawn.samples.tokens[rows, :1], samples.tokens[:, :1]
        same = (first == second).cumprod(-1)
        edge = (drawn.plain.low - noise).abs().minimum((drawn.plain.high - noise).abs())[rows, :1] <= BOUND
        place = same.sum(-1, keepdim=True).clamp(max=same.shape[-1] - 1)  # of the first difference
        at_edge = (first - second).abs() <= 1 if deviates else edge
        counted = torch.where(at_edge.gather(-1, place), same, torch.ones_like(same))
        change = (drawn.samples.logprobs[rows, :1] - samples.logprobs[:, :1]).abs() * counted
        errors.append(float((change.sum(-1) / counted.sum(-1).clamp(min=1)).max()))
    return max(errors)


def compare_training(of: Material, drawn: Drawn, findings: Findings) -> float | None:
    """Compare the log-probs that a training computes with the model's own, as the reference and as the policy.

    Returns the seconds that a response takes in one epoch of the policy's training; None if it cannot be trained.
    """
    seconds, model, temperature, tokens = None, of.base.model, of.prompts.fmt.temperature, drawn.samples.tokens
    with findings.stage("log-probs", CheckCode.TRAINING):
        ours = response_logprobs(model, drawn.contexts, tokens, temperature, len(tokens))
        findings.add(CheckCode.TRAINING, largest(ours, drawn.plain.logprobs))
    with findings.stage("policy", CheckCode.POLICY):
        policy = PolicyModel(model).to(model.device)
        began = time.perf_counter()
        logprobs, values, _ = policy(drawn.contexts, tokens, temperature)
        findings.add(CheckCode.POLICY, largest(logprobs.detach(), drawn.plain.logprobs))
        (logprobs.sum() + values.sum()).backward()
        seconds = (time.perf_counter() - began) / (tokens.shape[0] * tokens.shape[1])
    return seconds
