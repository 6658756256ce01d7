"""Sentinels in a run's steps: what is asked of its reward model and policy, and the cord where an answer is wrong."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise

from data.cord.reward_sentinels import FEW_SCORES, canaries_differ, of_reward_model, unlike_base
from data.cord.sentinels import Alarm
from data.measures.agreement import PairAgreement
from data.measures.intervals import Estimate, proportion
from data.store import open_store
from data.store.manifest import Publication
from models.lm.base import Base, best_device, fingerprint
from models.lm.tokens import encode_affixes, single_token
from models.monitoring.canaries import Canary, Pair, ranked_right, recalled
from models.monitoring.monitor import Monitor, pull_for
from models.monitoring.preflight import reference_differs, run_preflight, scores_of_base
from models.monitoring.shadow_scorer import ShadowScorer
from models.ppo.policy import PolicyModel, Rollout
from models.ppo.train import Inspect, Metrics
from models.reward.ensemble import Ensemble
from models.reward.model import HeldOut
from models.training.job import Job
from models.training.processes import Processes

LOGGER = logging.getLogger("andon")


def report(job: Job, alarm: Alarm) -> None:
    """Pull the cord for the run; say so where a person has decided that it goes on despite of it."""
    if pull_for(open_store(job.store), job.run, alarm):
        LOGGER.warning("sentinel %s pulled the cord: %s", alarm.sentinel, alarm.found)
    else:
        LOGGER.info("sentinel %s was released before, so the run goes on: %s", alarm.sentinel, alarm.found)


def check_reward_model(
    job: Job,
    ensemble: Ensemble,
    known: Sequence[Canary],
    held_out: HeldOut,
    history: Sequence[Mapping[str, float]],
    agreed: PairAgreement | None,
) -> Estimate | None:
    """Ask a reward model, just trained, whether it can be right; return its accuracy on known answers.

    `agreed`: how often two labelers of its label set did.
    """
    gold = ranked_right(ensemble, known, best_device())
    if Processes().is_main:
        learned, limits = while_training(history), job.campaign.sentinels
        for alarm in of_reward_model(
            held_out.accuracy, held_out.of_one_best, learned, held_out.chance, gold, agreed, limits
        ):
            report(job, alarm)
    return gold


def while_training(history: Sequence[Mapping[str, float]]) -> Estimate:
    """Return the accuracy in the second half of the epoch, of every label before it was trained on."""
    sizes = [int(after - before) for before, after in pairwise([0, *(step["labels"] for step in history)])]
    half = list(zip(sizes, history, strict=True))[len(history) // 2 :]
    return proportion(sum(size * step["accuracy"] for size, step in half), sum(size for size, _ in half))


@contextmanager
def open_monitor(
    job: Job, base: Base, score: Ensemble, scorer: Publication, queries: list[list[int]], history: list[Metrics]
) -> Iterator[Inspect]:
    """Test what is about to train, and watch it train; from the first process only."""
    if not Processes().is_main:
        yield lambda update: {}
        return
    text = job.campaign.text
    stop = single_token(base.tokenizer, text.truncate_at)
    affixes = encode_affixes(base.tokenizer, text)
    limits = job.campaign.sentinels
    stored = scorer.path("canaries.json").read_text("utf-8") if "canaries.json" in scorer.manifest["files"] else "[]"
    pairs: list[Pair] = json.loads(stored)

    def standing(rollout: Rollout | None = None) -> list[Alarm]:
        """What must hold before the first update and ever after."""
        found = [canaries_differ(*recalled(score, pairs, best_device()), limits)] if pairs else []
        if rollout is not None:
            found.append(reference_differs(base.model, rollout, text))
        if fingerprint(base.model) != base.fingerprint:
            causes = ("the reference shares the policy's weights", "the reference is trained")
            found.append(Alarm("reference moves", "the reference's weights are not those of the base", causes))
        return [alarm for alarm in found if alarm is not None]

    published = (scorer["base_score_mean"], scorer["base_score_std"])
    policy = PolicyModel(base.model).to(best_device())
    for alarm in [*run_preflight(policy, base.model, score, queries, text, affixes, stop), *standing()]:
        report(job, alarm)
    del policy  # a whole copy, that the training would keep
    shadow = ShadowScorer(job.store, scorer.prefix, stop, text.truncate_after)
    try:
        if (known := scorer.get("base_score_queries", 0)) >= FEW_SCORES:
            scores = scores_of_base(base.model, shadow.score, queries, text, affixes, job.campaign.policy.batch)
            if other := unlike_base(scores, (*published, known), limits):
                report(job, other)
        yield Monitor(
            limits,
            job.campaign.policy,
            text,
            stop,
            published,
            shadow,
            history,
            queries,
            affixes,
            standing,
            lambda alarm: report(job, alarm),
        )
    finally:
        shadow.close()
