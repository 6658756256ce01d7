"""Score against divergence over beta: `python -m bench.learning.frontier FOLDER [FRONTIER.svg]`.

The price of divergence, beta, decides how far a policy goes for what the reward model likes. Each seed buys its labels
once; then the same labels train once for every beta, which stays as it is (no KL target). Runs that are finished are
not gone through again. `andon report sentiment` in a seed's folder shows its samples.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib

from bench.arguments import parser
from data.runs.registry import runs
from data.store import LocalStore
from data.store.manifest import Publication

matplotlib.use("Agg")
from matplotlib import pyplot as plt

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "campaigns" / "sentiment.toml"
BETAS = (0.4, 0.2, 0.1, 0.05, 0.025, 0.0125)
SEEDS = (1, 2, 3)
LABELS, EPISODES = 1_600, 4_096


def fixed(beta: float) -> str:
    """Return the shipped campaign with a beta that no target moves."""
    text = re.sub(r"kl_target = .*\n", "", SHIPPED.read_text())
    text = re.sub(r"kl_coefficient = .*", f"kl_coefficient = {beta}", text)
    return re.sub(r"(\[presets.small.policy\]\n)episodes = .*", rf"\g<1>episodes = {EPISODES}", text)


def trained(folder: Path) -> dict[float, Publication]:
    """Return the finished runs of a seed's folder by their beta."""
    finished = runs(LocalStore(folder / "store"), "sentiment")
    return {run.manifest["facts"]["campaign"]["policy"]["kl_coefficient"]: run for run in finished}


def sweep(folder: Path, seed: int) -> None:
    """Train with every beta that is left, in a process each; the first buys the labels."""
    folder.mkdir(parents=True, exist_ok=True)
    for beta in BETAS:
        if beta in (done := trained(folder)):
            continue
        campaign = folder / f"beta-{beta}.toml"
        campaign.write_text(fixed(beta))
        command = [sys.executable, "-m", "flows.cli", *(["retrain"] if done else ["round", "--labels", str(LABELS)])]
        command += [str(campaign), "--preset", "small", "--seed", str(seed), "--store", str(folder / "store")]
        with (folder / "sweep.log").open("ab") as out:
            state = {"ANDON_STATE": str(folder / "state")}
            subprocess.run(command, stdout=out, stderr=out, env=os.environ | state, cwd=ROOT, check=True)
        print(f"seed {seed}: beta {beta}", flush=True)


def row(beta: float, run: Publication) -> str:
    facts = run.manifest["facts"]
    win = facts["win_rate"]
    return (
        f"{beta} | {facts['kl_nats_per_seq']:.1f} | {facts['score']:+.2f} | {facts['valid']:.3f} | "
        f"{win['value']:.3f} [{win['low']:.3f}, {win['high']:.3f}] |"
    )


def picture(by_seed: dict[int, dict[float, Publication]], path: Path) -> None:
    """Draw the score and the win rate of every run over its divergence: a line a seed, from the largest beta on."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for seed, mine in by_seed.items():
        facts = [mine[beta].manifest["facts"] for beta in sorted(mine, reverse=True)]
        kl = [run["kl_nats_per_seq"] for run in facts]
        axes[0].plot(kl, [run["score"] for run in facts], "o-", label=f"seed {seed}")
        axes[1].plot(kl, [run["win_rate"]["value"] for run in facts], "o-")
    for axis, title in zip(axes, ("score by the reward model (base: 0 ± 1)", "win rate over zero-shot"), strict=True):
        axis.set(xlabel="KL from the base, nats a response", ylabel=title)
    axes[0].legend(frameon=False)
    figure.savefig(path)


def main(root: Path, report: Path | None = None) -> None:
    folders = {seed: root / f"seed-{seed}" for seed in SEEDS}
    for seed, folder in folders.items() if report is None else ():
        sweep(folder, seed)
    by_seed = {seed: trained(folder) for seed, folder in folders.items()}
    print("| seed | beta | KL | score | valid | over zero-shot |\n" + "|---" * 6 + "|")
    for seed, mine in by_seed.items():
        for beta in sorted(mine, reverse=True):
            print(f"| {seed} | {row(beta, mine[beta])}")
    if report is not None:
        picture(by_seed, report)


if __name__ == "__main__":
    arguments = parser("bench.learning.frontier", __doc__)
    arguments.add_argument("folder", type=Path, help="where finished work is kept")
    arguments.add_argument("picture", type=Path, nargs="?", metavar="FRONTIER.svg", help="only draw what is finished")
    given = arguments.parse_args()
    # Commands run in the project's folder, so paths must be absolute.
    main(given.folder.resolve(), given.picture and given.picture.resolve())
