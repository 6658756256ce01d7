"""Summaries in one batch or in several, over seeds: `python -m bench.learning.summaries FOLDER SMOLLM2`, on a GPU.

The question of bench/learning/experiments.py where labels are said to have to follow the policy: labelers who reward
truth and coverage, on a base that reads (base/smollm2.py makes its folder). Equal labels in one round and in two, from
the base every round; then the last policy beside zero-shot, lead-3 and best of 4 on the same passages, with what it
copies, and the last policies of both beside each other. What came out is a line in FOLDER/summaries.jsonl; finished
rounds are not gone through again.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from bench.arguments import parser
from bench.learning.outcomes import add_row, read_rows
from data.campaign import load_campaign
from data.evaluation.judgements import PairResult, judge_pairs, pair_results, result_for
from data.runs.registry import runs
from data.store import LocalStore

ROOT = Path(__file__).resolve().parents[2]
LABELS, ROUNDS, SEEDS = 1_200, (1, 2), (1, 2, 3)
SYSTEMS, QUERIES = "zero-shot,lead-3,rl,best-of-4", 200
COPYING = (
    "sentence_novelty",
    "bigram_novelty",
    "copied_share",
    "copied_start_after_a_preamble",
    "copied_start_without",
)


class Arm(NamedTuple):
    """One way to spend the labels, with one seed."""

    rounds: int
    seed: int


def andon(folder: Path, *arguments: str) -> Any:
    """Run a command of Andon in an arm's folder and return the JSON object that it ends with."""
    command = [sys.executable, "-m", "flows.cli", *arguments, "--store", str(folder / "store"), "--json"]
    with (folder / "arm.log").open("ab") as out:
        state = {"ANDON_STATE": str(folder / "state")}
        said = subprocess.run(command, stdout=subprocess.PIPE, stderr=out, env=os.environ | state, cwd=ROOT, check=True)
    return json.loads(said.stdout.splitlines()[-1])


def go(arm: Arm, root: Path, base: str) -> dict[str, Any]:
    """Go through the rounds of an arm that are left, evaluate its last policy, and return what came out."""
    folder = root / f"in-{arm.rounds}" / f"seed-{arm.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    store, of_all = LocalStore(folder / "store"), ("--base", base, "--preset", "smollm2-135m")
    for number in range(len(runs(store, "speeches")) + 1, arm.rounds + 1):
        andon(folder, "round", "speeches", *of_all, "--seed", str(arm.seed), "--labels", str(LABELS // arm.rounds))
        print(f"{arm}: round {number}", flush=True)
    asked = ("--systems", SYSTEMS, "--queries", str(QUERIES), "--seed", str(arm.seed + 1))
    facts = andon(folder, "evaluate", "speeches", *of_all, *asked)
    last = max(runs(store, "speeches"), key=lambda run: run.facts["round"])
    responses = Path(facts["report"]).with_name("responses.parquet").relative_to(root)
    measured = {"accuracy": last.facts["reward_accuracy"]["value"], "systems": of_systems(facts)}
    return {**arm._asdict(), **measured, "responses": str(responses)}


def of_systems(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the measures of every system in an evaluation: win rate over zero-shot, KL, and copying."""
    measures: dict[str, Any] = {}
    judgements = [PairResult.of(each) for each in facts["contests"]]
    for name in SYSTEMS.split(","):
        measures[name] = {each: facts["texts"][name][each] for each in COPYING}
        measures[name]["kl"] = facts["behaviours"].get(name, {}).get("kl")
        contest = result_for(judgements, name, "zero-shot")
        measures[name]["win_rate"] = contest and contest.win_rate[:3]
    return measures


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a table of what came out so far, a line for each system of each arm."""
    yield "| system | rounds | seed | over zero-shot | KL | new sentences | new bigrams | copied share | copied start |"
    yield "|---" * 9 + "|"
    for row in sorted(rows, key=lambda row: (row["rounds"], row["seed"])):
        for name, system in row["systems"].items():
            win = "{:.3f} [{:.3f}, {:.3f}]".format(*system["win_rate"]) if system["win_rate"] else ""
            new, bigrams, copied, after, without = (system[each] for each in COPYING)
            kl = "" if system["kl"] is None else f"{system['kl']:.1f}"
            yield (
                f"| {name} | {row['rounds']} | {row['seed']} | {win} | {kl} | {new:.3f} | {bigrams:.3f} | "
                f"{copied:.3f} | {after or 0:.3f} / {without:.3f} |"
            )


def head_to_head(rows: list[dict[str, Any]], root: Path) -> Iterator[str]:
    """Yield, for each seed, how often judges prefer the policy of more rounds to that of one, on the same passages."""
    judges = load_campaign("speeches").judges
    assert judges is not None
    responses = {Arm(row["rounds"], row["seed"]): pd.read_parquet(root / row["responses"]) for row in rows}
    for arm, several in sorted(responses.items()):
        if arm.rounds == 1 or (one := responses.get(arm._replace(rounds=1))) is None:
            continue
        sides = [each[each["system"] == "rl"] for each in (several, one)]
        both = sides[0].merge(sides[1], on="query_id", suffixes=("", "_one"))
        texts = {"several": list(both["response"]), "one": list(both["response_one"])}
        contest = result_for(
            pair_results(list(judge_pairs(judges, dict(zip(both["query_id"], both["query"], strict=True)), texts))),
            "several",
            "one",
        )
        assert contest is not None
        yield f"{arm.rounds} rounds over one, seed {arm.seed}: {contest.win_rate}"


def main(root: Path, base: str) -> None:
    root.mkdir(parents=True, exist_ok=True)
    log = root / "summaries.jsonl"
    rows = read_rows(log)
    for arm in (Arm(rounds, seed) for seed in SEEDS for rounds in ROUNDS):
        if arm not in {Arm(row["rounds"], row["seed"]) for row in rows}:
            rows.append(go(arm, root, base))
            add_row(log, rows[-1])
    print("\n".join([*table(rows), *head_to_head(rows, root)]))


if __name__ == "__main__":
    arguments = parser("bench.learning.summaries", __doc__)
    arguments.add_argument("folder", type=Path, help="where finished work is kept")
    arguments.add_argument("base", type=Path, metavar="SMOLLM2", help="the folder that base/smollm2.py made")
    given = arguments.parse_args()
    main(given.folder.resolve(), str(given.base.resolve()))  # commands run in the project's folder
