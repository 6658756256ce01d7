"""The sentinels of a run: checks of its reward model and policy that pull the cord if they fail."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

from data.console import LOGGER, say
from data.cord.alarms import Alarm
from data.cord.limits import limits_for
from data.cord.reward_sentinels import FEW_SCORES, canaries_differ, of_reward_model, unlike_base
from data.cord.sentinels import UpdateCode
from data.measures.agreement import PairAgreement
from data.measures.intervals import Estimate, proportion
from data.runs.step_facts import Inspection, PolicyUpdate, RewardStep
from data.store.manifest import Publication
from models.lm.base import Base, best_device, fingerprint
from models.monitoring.canaries import Canary, Pair, ranked_right, recalled
from models.monitoring.monitor import Monitor, pull_for
from models.monitoring.preflight import bound, reference_differs, run_preflight, scores_of_base
from models.monitoring.shadow_scorer import ShadowScorer
from models.ppo.policy import PolicyModel, Rollout
from models.ppo.train import Update
from models.reward.ensemble import Ensemble
from models.reward.model import HeldOut
from models.training.job import Job
from models.training.processes import processes


def report(job: Job, alarm: Alarm) -> None:
    """Pull the cord for the run; only log the alarm if a person released a pull of this sentinel before."""
    if pull_for(job.plain_store, job.run, alarm):
        LOGGER.warning("sentinel %s pulled the cord: %s", alarm.code, alarm.text)
    else:
        LOGGER.info("sentinel %s was released before, so the run continues: %s", alarm.code, alarm.text)


def check_reward_model(
    job: Job,
    ensemble: Ensemble,
    gold_canaries: Sequence[Canary],
    held_out: HeldOut,
    history: Sequence[RewardStep],
    agreed: PairAgreement | None,
) -> Estimate | None:
    """Check a newly trained reward model, and return its accuracy on gold questions.

    `agreed` is the agreement of two labelers of its label set.
    """
    gold = ranked_right(ensemble, gold_canaries, best_device())
    if processes().is_main:
        learned, limits = while_training(history), job.campaign.sentinels
        for alarm in of_reward_model(
            held_out.accuracy, held_out.of_one_best, learned, held_out.chance, gold, agreed, limits
        ):
            report(job, alarm)
    return gold


def while_training(history: Sequence[RewardStep]) -> Estimate:
    """Return the accuracy on labels in the second half of the epoch, each measured before it is trained on."""
    sizes = [int(after - before) for before, after in pairwise([0, *(step["labels"] for step in history)])]
    half = list(zip(sizes, history, strict=True))[len(history) // 2 :]
    return proportion(sum(size * step["accuracy"] for size, step in half), sum(size for size, _ in half))


@contextmanager
def open_monitor(
    job: Job,
    base: Base,
    score: Ensemble,
    scorer: Publication,
    queries: Sequence[list[int]],
    history: list[PolicyUpdate],
) -> Iterator[Callable[[Update], Inspection]]:
    """Run the preflight checks, and return the monitor of the training; in the first process only."""
    if not processes().is_main:
        yield lambda update: {}
        return
    prompts, limits = base.prompts(job.campaign.text), job.campaign.sentinels
    stored = scorer.path("canaries.json").read_text("utf-8") if "canaries.json" in scorer.manifest["files"] else "[]"
    pairs: list[Pair] = json.loads(stored)

    def invariants(rollout: Rollout | None = None) -> list[Alarm]:
        """Return an alarm for each violated invariant. They must hold before the first update and ever after."""
        raised = [canaries_differ(*recalled(score, pairs, best_device()), limits)] if pairs else []
        if rollout is not None:
            raised.append(reference_differs(base.model, rollout, prompts.fmt.temperature, bound(checked.noise)))
        if fingerprint(base.model) != base.fingerprint:
            causes = ("the reference shares the policy's weights", "the reference is trained")
            text = "the reference's weights are not those of the base"
            raised.append(Alarm(UpdateCode.REFERENCE_MOVED, text, causes))
        return [alarm for alarm in raised if alarm is not None]

    published = (scorer["base_score_mean"], scorer["base_score_std"])
    policy = PolicyModel(base.model).to(best_device())
    checked = run_preflight(policy, base.model, score, queries, prompts)
    for alarm in [*checked.alarms, *invariants()]:
        report(job, alarm)
    del policy  # a whole copy, which would stay in memory during the training
    shadow = ShadowScorer(job.store, scorer.prefix, prompts)
    try:
        count = scorer.get("base_score_queries", 0)
        at_once = job.campaign.policy.batch
        scores = scores_of_base(base.model, shadow.score, queries, prompts, at_once) if count >= FEW_SCORES else None
        if scores is None:
            say(f"policy: {count} scores of the base were published. Fewer than {FEW_SCORES} cannot be compared again.")
        elif alarm_of_base := unlike_base(scores, (*published, count), limits):
            report(job, alarm_of_base)
        elif len(scores) < FEW_SCORES:
            say(f"policy: only {len(scores)} valid responses of the base were drawn, too few to compare their scores.")
        rules = job.campaign.policy, limits_for(limits, prompts.fmt, checked.noise)
        yield Monitor(rules, prompts, published, shadow, history, queries, invariants, lambda alarm: report(job, alarm))
    finally:
        shadow.close()
