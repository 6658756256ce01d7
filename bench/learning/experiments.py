"""Labels in one batch or in several: `make experiments`, or `python -m bench.learning.experiments FOLDER [REPORT.svg]`.

The question of 2019: is it enough to label samples of the base, or must labels follow the policy? Every arm spends the
same number of labels on rounds of equal size, through the command line. The first round samples from the base, later
rounds from the champion. Each round retrains from the base on all labels so far. Two arms run at the same time, with a
core each. Every arm and seed has its own store in FOLDER, so an interrupted one continues. Each outcome is a line in
FOLDER/outcomes.jsonl. To continue from the published outcomes, copy docs/experiments.jsonl there.
"""

import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import matplotlib
from scipy.stats import linregress, t

from bench.arguments import parser
from bench.learning import in_batches
from bench.learning.outcomes import add_row, read_rows
from data.rounds.status import round_to_decide
from data.runs.registry import runs
from data.store import LocalStore

matplotlib.use("Agg")
from matplotlib import pyplot as plt

ROOT = Path(__file__).resolve().parents[2]
LABELS, SEEDS = 1_600, (1, 2, 3)
CAMPAIGNS = ("sentiment", "descriptiveness")
ROUNDS = {"offline": 1, "batched, 2": 2, "batched, 4": 4, "batched, 8": 8, "online-like, 16": 16}
CURVE = (250, 6_400, 20_000)  # labels in one round, in addition to LABELS
CORES = 2
WRITING = Lock()


class Arm(NamedTuple):
    """One way to spend labels on one campaign with one seed."""

    campaign: str
    way: str
    rounds: int
    labels: int
    seed: int

    def folder(self, root: Path) -> Path:
        return root / self.campaign / f"{self.labels}-labels-in-{self.rounds}" / f"seed-{self.seed}"


class Outcome(NamedTuple):
    """The result of the last round of an arm."""

    win_rate: float
    accuracy: float
    kl: float
    valid: float
    cpu_minutes: float | None  # None: not measured


def arms() -> Iterator[Arm]:
    """Yield all arms, those that answer most for their time first."""
    offline = [("offline", 1, labels) for labels in (LABELS, *CURVE)]
    several = [(way, rounds, LABELS) for way, rounds in ROUNDS.items() if rounds > 1]
    for way, rounds, labels in (*offline[:2], *several[:2], *offline[2:], *several[2:]):
        for campaign in CAMPAIGNS:
            for seed in SEEDS:
                yield Arm(campaign, way, rounds, labels, seed)


def outcomes(root: Path) -> dict[Arm, Outcome]:
    """Return what has come out so far."""
    rows = read_rows(root / "outcomes.jsonl")
    return {Arm(*(row[f] for f in Arm._fields)): Outcome(*(row[f] for f in Outcome._fields)) for row in rows}


def go(arm: Arm, root: Path) -> None:
    """Go through the rounds of an arm that are left, in a process each, and write down what came out."""
    folder = arm.folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    store, log = folder / "store", folder / "cpu_seconds.json"
    spent: list[float] = json.loads(log.read_text()) if log.exists() else []
    each, seed = arm.labels // arm.rounds, str(arm.seed)
    command = [sys.executable, "-m", "flows.cli", "round", arm.campaign, "--preset", "small", "--json"]
    command += ["--labels", str(each), "--seed", seed, "--store", str(store)]
    if each > in_batches.MOST:
        command = [sys.executable, "-m", "bench.learning.in_batches", arm.campaign, str(each), seed, str(store)]
    state = {"OMP_NUM_THREADS": "1", "ANDON_STATE": str(folder / "state")}
    while (made := len(runs(LocalStore(store), arm.campaign))) < arm.rounds:
        number, undecided = made + 1, round_to_decide(LocalStore(store), arm.campaign)
        with (folder / "round.log").open("ab") as out:
            child = subprocess.Popen(command, stdout=out, stderr=out, env=os.environ | state, cwd=ROOT)
            _, status, usage = os.wait4(child.pid, 0)
        if status:
            sys.exit(f"{arm}: round {number} ended with {os.waitstatus_to_exitcode(status)}; see {folder}/round.log")
        if len(runs(LocalStore(store), arm.campaign)) == made and undecided is None:
            sys.exit(f"{arm}: round {number} made no run: andon status --store {store} says what it waits for")
        spent.append(usage.ru_utime + usage.ru_stime)
        log.with_suffix(".new").write_text(json.dumps(spent))
        log.with_suffix(".new").replace(log)
        print(f"{arm.campaign}, {arm.way}, {arm.labels:,} labels, seed {arm.seed}: round {number}", flush=True)
    last = max(runs(LocalStore(store), arm.campaign), key=lambda run: run.facts["round"])
    facts = last.facts
    assert facts["win_rate"] is not None
    came = Outcome(
        facts["win_rate"]["value"], facts["reward_accuracy"]["value"], facts["kl_nats_per_seq"], facts["valid"],
        sum(spent) / 60,
    )  # fmt: skip
    with WRITING:
        measured = {name: round(value, 4) for name, value in came._asdict().items()}
        add_row(root / "outcomes.jsonl", arm._asdict() | measured)


def table(by_arm: dict[Arm, Outcome]) -> Iterator[str]:
    """Yield a table of all arms that are finished for at least one seed."""
    yield "| campaign | labels | rounds | win rate, each seed | mean | reward accuracy | KL | CPU minutes, each |"
    yield "|---" * 8 + "|"
    for arm in arms():
        same = [came for other, came in sorted(by_arm.items()) if other._replace(seed=arm.seed) == arm]
        if arm.seed == SEEDS[0] and same:
            wins, accuracy, kl, _, minutes = zip(*same, strict=True)
            each = ", ".join(f"{win:.3f}" for win in wins)
            cost = ", ".join("?" if spent is None else f"{spent:.1f}" for spent in minutes)
            yield (
                f"| {arm.campaign} | {arm.labels:,} | {arm.way} | {each} | {statistics.mean(wins):.3f} | "
                f"{statistics.mean(accuracy):.3f} | {statistics.mean(kl):.1f} | {cost} |"
            )


def trends(by_arm: dict[Arm, Outcome]) -> Iterator[str]:
    """Yield by how much a campaign's win rate rises with each doubling of its rounds, at equal labels, with 95 %."""
    for campaign in CAMPAIGNS:
        mine = [(a.rounds, c.win_rate) for a, c in by_arm.items() if a.campaign == campaign and a.labels == LABELS]
        if len({rounds for rounds, _ in mine}) < len(ROUNDS):
            continue
        line = linregress([math.log2(rounds) for rounds, _ in mine], [rate for _, rate in mine])
        margin = line.stderr * t.ppf(0.975, len(mine) - 2)
        yield f"{campaign}: {line.slope:+.3f} ± {margin:.3f} a doubling of the rounds, over {len(mine)} trainings"


def picture(by_arm: dict[Arm, Outcome], path: Path) -> None:
    """Draw every seed's win rate by rounds and by labels in one round, and its reward model's accuracy by labels."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    for campaign in CAMPAIGNS:
        mine = [(arm, came) for arm, came in by_arm.items() if arm.campaign == campaign]
        budget, curve = [m for m in mine if m[0].labels == LABELS], [m for m in mine if m[0].rounds == 1]
        axes[0].plot([a.rounds for a, _ in budget], [c.win_rate for _, c in budget], "o", alpha=0.7, label=campaign)
        axes[1].plot([a.labels for a, _ in curve], [c.win_rate for _, c in curve], "o", alpha=0.7)
        axes[2].plot([a.labels for a, _ in curve], [c.accuracy for _, c in curve], "o", alpha=0.7)
    axes[1].sharey(axes[0])
    by_rounds = (f"rounds of {LABELS:,} labels together", "win rate over zero-shot", [*ROUNDS.values()])
    by_labels = [("labels in one round", of, [LABELS, *CURVE]) for of in ("win rate over zero-shot", "reward accuracy")]
    for axis, (x_label, y_label, ticks) in zip(axes, (by_rounds, *by_labels), strict=True):
        axis.set_xscale("log")
        axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axis.minorticks_off()
        axis.set(xlabel=x_label, ylabel=y_label)
    axes[0].legend(frameon=False)
    figure.savefig(path)


def main(root: Path, report: Path | None = None) -> None:
    root.mkdir(parents=True, exist_ok=True)
    if report is None:
        done = outcomes(root)
        with ThreadPoolExecutor(CORES) as cores:
            waiting = [cores.submit(go, arm, root) for arm in arms() if arm not in done]
            try:
                for ended in waiting:
                    ended.result()
            except KeyboardInterrupt:
                cores.shutdown(wait=False, cancel_futures=True)  # the rounds were interrupted too, and end
                raise
    by_arm = outcomes(root)
    print("\n".join([*table(by_arm), "", *trends(by_arm)]))
    if report is not None:
        picture(by_arm, report)


if __name__ == "__main__":
    arguments = parser("bench.learning.experiments", __doc__)
    arguments.add_argument("folder", type=Path, help="where finished work is kept")
    arguments.add_argument("picture", type=Path, nargs="?", metavar="REPORT.svg", help="only draw what is finished")
    given = arguments.parse_args()
    # Commands run in the project's folder, so paths must be absolute.
    main(given.folder.resolve(), given.picture and given.picture.resolve())
