"""Labels in one batch or in several: `make experiments`, or `python -m bench.experiments FOLDER [REPORT]`.

The question of 2019: is it enough to label what the base writes, or must labels follow the policy? Every arm spends the
same labels on rounds of equal size, through the command line that users have: the first round samples from the base,
later ones from the champion, and each retrains from the base on all labels so far. Every arm and seed has a store of
its own in FOLDER, so what was interrupted goes on where it stopped; REPORT is the table and the plot of what is there.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import matplotlib

from data.promotions import runs
from data.store import LocalStore

matplotlib.use("Agg")
from matplotlib import pyplot as plt

LABELS, SEEDS = 1_600, (1, 2, 3)
CAMPAIGNS = ("sentiment", "descriptiveness")
ROUNDS = {"offline": 1, "batched, 2": 2, "batched, 4": 4, "batched, 8": 8, "online-like, 16": 16}
CURVE = (250, 1_000, 4_000)  # labels in one round, beside the budget above


class Arm(NamedTuple):
    """One way to spend labels on one campaign with one seed."""

    campaign: str
    name: str
    rounds: int
    labels: int
    seed: int

    def folder(self, root: Path) -> Path:
        return root / self.campaign / f"{self.labels}-labels-in-{self.rounds}" / f"seed-{self.seed}"


class Outcome(NamedTuple):
    """What the last round of an arm came to."""

    win_rate: float
    accuracy: float
    kl: float
    cpu_minutes: float


def arms() -> Iterator[Arm]:
    """Yield all arms, those that answer most for their time first."""
    ways = [(name, rounds, LABELS) for name, rounds in ROUNDS.items()]
    ways[2:2] = [("offline", 1, labels) for labels in CURVE]
    for name, rounds, labels in ways:
        for seed in SEEDS:
            for campaign in CAMPAIGNS:
                yield Arm(campaign, name, rounds, labels, seed)


def go(arm: Arm, folder: Path) -> None:
    """Go through the rounds of an arm that are left, in a process each."""
    folder.mkdir(parents=True, exist_ok=True)
    store, log = folder / "store", folder / "cpu_seconds.json"
    spent: list[float] = json.loads(log.read_text()) if log.exists() else []
    for number in range(len(runs(LocalStore(store), arm.campaign)) + 1, arm.rounds + 1):
        before = os.times()
        command = [sys.executable, "-m", "flows.cli", "round", arm.campaign, "--preset", "demo", "--json"]
        command += ["--labels", str(arm.labels // arm.rounds), "--seed", str(arm.seed), "--store", str(store)]
        with (folder / "round.log").open("ab") as out:
            subprocess.run(command, check=True, stdout=out, stderr=out)
        after = os.times()
        spent.append(after.children_user + after.children_system - before.children_user - before.children_system)
        log.write_text(json.dumps(spent))
        print(f"{arm.campaign}, {arm.name}, {arm.labels:,} labels, seed {arm.seed}: round {number}", flush=True)


def outcome(arm: Arm, folder: Path) -> Outcome | None:
    """Read off its store what an arm came to; None where rounds are missing."""
    finished = runs(LocalStore(folder / "store"), arm.campaign) if folder.exists() else []
    if len(finished) < arm.rounds:
        return None
    last = max(finished, key=lambda run: run["round"])
    spent = sum(json.loads((folder / "cpu_seconds.json").read_text())) / 60
    return Outcome(last["win_rate"]["value"], last["reward_accuracy"]["value"], last["kl_nats_per_seq"], spent)


def table(root: Path) -> tuple[list[str], dict[tuple[str, str, int], list[Outcome]]]:
    """Return the table of all arms that are finished for at least one seed, and what it was made from."""
    found: dict[tuple[str, str, int], list[Outcome]] = {}
    for arm in arms():
        if (came := outcome(arm, arm.folder(root))) is not None:
            found.setdefault((arm.campaign, arm.name, arm.labels), []).append(came)
    lines = ["| campaign | labels | rounds | win rate, each seed | mean | reward accuracy | KL | CPU minutes |"]
    lines.append("|---" * 8 + "|")
    for (campaign, name, labels), outcomes in found.items():
        wins, accuracy, kl, minutes = zip(*outcomes, strict=True)
        each = ", ".join(f"{win:.3f}" for win in wins)
        lines.append(
            f"| {campaign} | {labels:,} | {name} | {each} | {statistics.mean(wins):.3f} | "
            f"{statistics.mean(accuracy):.3f} | {statistics.mean(kl):.1f} | {statistics.mean(minutes):.1f} |"
        )
    return lines, found


def picture(found: dict[tuple[str, str, int], list[Outcome]], path: Path) -> None:
    """Draw the win rate of every seed by rounds, and by labels where there is one round."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", sharey=True)
    for campaign in CAMPAIGNS:
        mine = [(name, size, o.win_rate) for (c, name, size), all_ in found.items() if c == campaign for o in all_]
        points = [(ROUNDS[name], rate) for name, size, rate in mine if size == LABELS]
        curve = [(size, rate) for name, size, rate in mine if name == "offline"]
        for axis, drawn in zip(axes, (points, curve), strict=True):
            axis.plot(*zip(*sorted(drawn), strict=True), "o", alpha=0.7, label=campaign) if drawn else None
    for axis, title in zip(axes, (f"rounds of {LABELS:,} labels together", "labels in one round"), strict=True):
        axis.set_xscale("log", base=2)
        axis.set_xlabel(title)
    axes[0].set_ylabel("win rate over zero-shot")
    axes[0].legend(frameon=False)
    figure.savefig(path)


def main(root: Path, report: Path | None = None) -> None:
    if report is None:
        for arm in arms():
            go(arm, arm.folder(root))
    lines, found = table(root)
    print("\n".join(lines))
    if report is not None:
        picture(found, report)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:]))
