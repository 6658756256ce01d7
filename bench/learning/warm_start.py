"""From the base or on from the last policy: `python -m bench.learning.warm_start FOLDER`, after `make experiments`.

Andon retrains from the base in every round. Here the policy of each round begins where that of the round before ended,
as an online trainer's does, with the same reward models, labels and episodes a round; KL is still measured from the
base. Every finished arm of several rounds is gone through so, and its last policy set beside two that were trained
from the base by the last reward model, on the same test queries: the arm's own, and one of as many episodes as all
rounds had together, for a warm start has trained that long. No sentinel watches: to them it looks like the fault that
it can be.
"""

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

from bench.arguments import parser
from bench.learning.experiments import Arm, outcomes
from bench.learning.outcomes import add_row, read_rows
from data.campaign import Campaign, load_campaign
from data.evaluation.judgements import judge_pairs, pair_results, result_for
from data.evaluation.systems import ZERO_SHOT, System
from data.paths import run_prefix
from data.runs.registry import runs
from data.runs.step_facts import PolicyUpdate
from data.store import LocalStore
from data.store.manifest import Publication, publish, read_manifest
from models.evaluation.systems import Clock, run_systems
from models.lm.base import Base, open_base, save_language_model
from models.lm.query_list import query_tokens
from models.ppo.policy import PolicyModel
from models.ppo.train import PolicyHooks, train_policy
from models.reward.ensemble import load_ensemble

SYSTEMS = {"scratch": "from the base", "long": "from the base, all episodes at once", "warm": "from the last policy"}


def trained(
    store: LocalStore, campaign: Campaign, base: Base, run: Publication, before: Publication | None, episodes: int
) -> Publication:
    """Train a policy by the reward model of a run, beginning with the policy `before` or the base, and publish it."""
    prefix = f"campaigns/{campaign.name}/{'warm' if before else 'long'}/{run['run']}"
    if (done := read_manifest(store, prefix)) is not None:
        return done
    began, metrics = datetime.now(UTC), list[PolicyUpdate]()
    reward = read_manifest(store, f"{run_prefix(campaign.name, run['run'])}/reward")
    assert reward is not None
    prompts = base.prompts(campaign.text)
    start = open_base(str(before.folder()), campaign.text) if before else base
    with mock.patch("models.ppo.train.PolicyModel", lambda _, value_from: PolicyModel(start.model, value_from)):
        policy = train_policy(
            campaign.policy.model_copy(update={"episodes": episodes}),
            prompts,
            base.model,
            load_ensemble(reward.folder()),
            query_tokens(prompts, "train"),
            run["seed"] + run["round"],  # other queries and samples than in the round before
            PolicyHooks(log=metrics.append),
        )
    with tempfile.TemporaryDirectory() as scratch:
        save_language_model(policy.language_model, base.tokenizer, Path(scratch))
        files: dict[str, Path | bytes] = {path.name: path for path in Path(scratch).iterdir()}
        return publish(store, prefix, "policy", files, inputs={}, facts={"last": metrics[-1]}, began=began)


def gone_through(arm: Arm, root: Path) -> dict[str, object]:
    """Go through the rounds of an arm again, each on from the last, and return how the last policies compare."""
    store, campaign = LocalStore(arm.folder(root) / "store"), load_campaign(arm.campaign, "small")
    base, episodes = open_base(campaign.base, campaign.text), campaign.policy.episodes
    first, *later = sorted(runs(store, arm.campaign), key=lambda run: run.facts["round"])
    warm = read_manifest(store, f"{run_prefix(campaign.name, first.facts['run'])}/policy")
    for run in later:
        warm = trained(store, campaign, base, run, warm, episodes)
    last = later[-1].facts["run"]
    scratch = read_manifest(store, f"{run_prefix(campaign.name, last)}/policy")
    long = trained(store, campaign, base, later[-1], None, episodes * arm.rounds)
    assert scratch is not None and warm is not None and campaign.judges is not None
    policies = dict(zip(SYSTEMS.values(), (scratch, long, warm), strict=True))
    systems = [System(ZERO_SHOT, "model"), *(System(n, "model", last, each.prefix) for n, each in policies.items())]
    answered = run_systems(store, campaign, base, systems, last, campaign.evaluation.queries, arm.seed, Clock())
    asked = {query.query_id: query.text for query in answered.queries}
    results = pair_results(list(judge_pairs(campaign.judges, asked, answered.texts())))
    row: dict[str, object] = {**arm._asdict()}
    for name, system in SYSTEMS.items():
        contest, behaviour, texts = (
            result_for(results, system, ZERO_SHOT),
            answered.behaviours[system],
            answered.texts()[system],
        )
        assert contest is not None
        row[name] = {
            "win_rate": [round(value, 4) for value in contest.win_rate[:3]],
            "kl": round(behaviour.kl, 2),
            "valid": round(behaviour.valid, 4),
            "different": round(len({*texts}) / len(texts), 4),
        }
    contest = result_for(results, SYSTEMS["warm"], SYSTEMS["long"])
    assert contest is not None
    return row | {"warm_over_long": [round(value, 4) for value in contest.win_rate[:3]]}


def main(root: Path) -> None:
    log = root / "warm.jsonl"
    done = {tuple(row[name] for name in Arm._fields) for row in read_rows(log)}
    for arm in sorted(outcomes(root)):
        if arm.rounds > 1 and tuple(arm) not in done and arm.folder(root).exists():
            add_row(log, gone_through(arm, root))
    sys.stdout.write(log.read_text() if log.exists() else "no arm of several rounds is finished yet\n")


if __name__ == "__main__":
    arguments = parser("bench.learning.warm_start", __doc__)
    arguments.add_argument("folder", type=Path, help="the folder of `make experiments`")
    given = arguments.parse_args()
    main(given.folder)
