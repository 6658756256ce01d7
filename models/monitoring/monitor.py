"""The monitor of a training: it measures every update with code of its own, and pulls the cord if a sentinel asks.

It only reads the parts of an update, so a training gives the same bits with and without it.
"""

import hashlib
from array import array
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import cast

import torch
from torch import Tensor

from data.campaign.settings import Policy
from data.cord import cord
from data.cord.alarms import BY, Alarm, History, code_of
from data.cord.limits import NOISES, Limits
from data.cord.sentinels import alarms
from data.runs.step_facts import Inspection, PolicyUpdate
from data.store import Store
from models.lm.precision import Precision, precision
from models.lm.prompts import Prompts
from models.lm.tokens import PAD
from models.monitoring.shadow_scorer import ShadowScorer
from models.ppo.policy import Rollout
from models.ppo.train import Update

INVARIANTS_EVERY = 10  # updates


class Monitor:
    """Inspects every update of one run by its `rules`. `history` is the list to which the run's metrics are logged.

    `invariants` returns an alarm for each invariant that is violated. It is called every INVARIANTS_EVERY updates.
    """

    def __init__(
        self,
        rules: tuple[Policy, Limits],
        prompts: Prompts,
        base_scores: tuple[float, float],
        shadow: ShadowScorer,
        history: list[PolicyUpdate],
        queries: Sequence[list[int]],
        invariants: Callable[[Rollout], list[Alarm]],
        report: Callable[[Alarm], None],
    ) -> None:
        (self.policy, self.limits), self.prompts = rules, prompts
        self.base_mean, self.base_std = base_scores
        self.shadow, self.history = shadow, history
        self.queries = {digest(query) for query in queries}  # millions of tuples would take gigabytes
        self.invariants, self.report = invariants, report

    def __call__(self, update: Update) -> Inspection:
        """Return further metrics of an update, and report every alarm."""
        rollout = update.rollout
        measured: Inspection = {**self._shadow_measures(rollout), **response_measures(rollout, self.prompts)}
        measured["paid_error"] = paid_error(update)
        kl = (rollout.logprobs - rollout.reference).sum(-1)
        if float(update.logprob_delta.std()) > max(self.limits.moved, NOISES * update.metrics["rounding"]):
            measured["followed"] = correlation(update.logprob_delta, rollout.scores - update.kl_coefficient * kl)
        measured["other_queries"] = self._other_queries(rollout)
        history = cast(History, [*self.history, {**update.metrics, **measured}])
        raised = alarms(history, self.limits, self.policy)
        if update.number % INVARIANTS_EVERY == 0:
            raised += self.invariants(rollout)
        for alarm in raised:
            self.report(alarm._replace(update=update.number))
        return measured

    def _other_queries(self, rollout: Rollout) -> float:
        """Count the queries of a rollout that are not the campaign's, or whose context is another."""
        pairs = zip(rollout.queries.tolist(), rollout.contexts.tolist(), strict=True)
        rows = [([t for t in query if t != PAD], [t for t in context if t != PAD]) for query, context in pairs]
        return float(sum(digest(q) not in self.queries or self.prompts.surround(q) != context for q, context in rows))

    def _shadow_measures(self, rollout: Rollout) -> Inspection:
        """Compare the shadow scores of some responses with the scores of PPO and with those of the base."""
        batch, k = rollout.scores.shape
        flat = torch.linspace(0, batch * k - 1, min(self.limits.samples, batch * k)).long().tolist()
        queries = [[token for token in rollout.queries[i // k].tolist() if token != PAD] for i in flat]
        scores = self.shadow.score(queries, [rollout.tokens[i // k, i % k].tolist() for i in flat])
        used = [float(rollout.scores[i // k, i % k]) for i in flat]
        expected = [self.prompts.fmt.invalid_score if score is None else score for score in scores]
        errors = [abs(a - b) / self.base_std for a, b in zip(used, expected, strict=True)]
        error = largest_error(errors, rounded=precision(rollout.tokens.device.type) == Precision.BF16)
        valid = [(i // k, score) for i, score in zip(flat, scores, strict=True) if score is not None]
        if len(valid) < 2:
            return {"score_error": error}
        clusters = len({query for query, _ in valid})  # responses to one query resemble each other
        gap = (fmean(score for _, score in valid) - self.base_mean) / (self.base_std / clusters**0.5)
        return {"score_error": error, "base_gap": gap}


def digest(query: Sequence[int]) -> bytes:
    """Return 16 bytes that stand for a query."""
    return hashlib.blake2b(array("q", query).tobytes(), digest_size=16).digest()


def largest_error(errors: list[float], rounded: bool) -> float:
    """Return the largest error. For scores in bf16, return the larger of the mean and a quarter of the largest error.

    bf16 changes single scores of deep models (SmolLM2 with 30 layers: by 0.253 standard deviations), fp32 does not.
    """
    return max(fmean(errors), max(errors) / 4) if rounded else max(errors)


def paid_error(update: Update) -> float:
    """Return the largest error of a token's reward, which should be -beta (lp - lpref) plus the score at the end."""
    rollout = update.rollout
    expected = update.kl_coefficient * (rollout.reference - rollout.logprobs)
    expected[..., -1] += rollout.scores
    return float((update.rewards - expected).abs().max())


def correlation(one: Tensor, other: Tensor) -> float:
    """Return Pearson's correlation over all entries; 0 if one tensor is constant."""
    a, b = one.flatten() - one.mean(), other.flatten() - other.mean()
    size = float(a.norm() * b.norm())
    return float(a @ b) / size if size > 1e-12 else 0.0


def response_measures(rollout: Rollout, prompts: Prompts) -> Inspection:
    """Return the diversity of tokens within responses and of whole responses, and the tokens of a valid one."""
    rows = [tuple(row) for row in rollout.tokens.flatten(0, 1).tolist()]
    lengths = [length_to_stop(row, prompts.stops, prompts.fmt.truncate_after) for row in rows]
    valid = [length for length in lengths if length]
    return {
        "distinct_1": sum(len(set(row)) / len(row) for row in rows) / len(rows),
        "distinct_responses": len(set(rows)) / len(rows),
        "length": sum(valid) / len(valid) if valid else 0.0,
    }


def length_to_stop(row: Sequence[int], stops: Sequence[Sequence[int]], after: int) -> int:
    """Return the number of tokens up to the first stop that ends at or after an index; 0 without one."""
    ways, lengths = {tuple(stop) for stop in stops}, {len(stop) for stop in stops}
    ends = range(after + 1, len(row) + 1)
    return next((end for end in ends if any(tuple(row[max(0, end - n) : end]) in ways for n in lengths)), 0)


def pull_for(store: Store, run: str, alarm: Alarm) -> bool:
    """Pull the cord for a run and return True; False if a person has released a pull of this sentinel for it."""
    scope = f"run:{run}"
    for earlier in cord.pulls(store):
        if code_of(earlier.pull.by) == alarm.code and earlier.pull.scope == scope:
            return earlier.release is None
    cord.pull(store, alarm.reason(), by=f"{BY}{alarm.code}", scope=scope, evidence={**alarm.evidence()})
    return True
