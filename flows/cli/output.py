"""What the command line says of a store: as data for scripts, as lines for people."""

from collections import Counter
from typing import Any

import pyarrow.parquet as pq

from data.batches.composition import FEWEST_GOLD
from data.batches.index import batches
from data.cord.cord import open_pulls
from data.escape import one_line
from data.evaluation.gate import under_champion
from data.evaluation.human_evaluation import human_results
from data.ingest.pipeline import IngestResult
from data.ingest.refusal import refusals
from data.labels.table import added, deliveries
from data.measures.intervals import Proportion, proportion
from data.paths import CAMPAIGNS, comparisons_of
from data.reports.evaluation import table
from data.rounds.plan import WORTH, Plan
from data.rounds.status import rounds
from data.runs.champion import champion
from data.runs.leases import holder
from data.runs.registry import find_run, policy_of, runs
from data.store import folders, open_store
from data.store.manifest import read_manifest

Result = dict[str, Any]


def run_result(store_uri: str, campaign: str, run: str) -> Result:
    """Return what scripts read of a finished run."""
    store = open_store(store_uri)
    published = find_run(store, campaign, run)
    result: Result = {
        "run": run,
        "policy": policy_of(store, campaign, run).folder_address(),
        "report": published.address("report.html"),
        "store": store.uri,
        "label_set": published["label_set"],
        "labels": published["labels"],
        "reward_accuracy": published["reward_accuracy"]["value"],
        "reward_accuracy_ci": [published["reward_accuracy"]["low"], published["reward_accuracy"]["high"]],
        "reward_accuracy_chance": published["reward_accuracy_chance"],
        "kl_nats_per_seq": published["kl_nats_per_seq"],
        "champion": champion(store, campaign) == run,
    }
    if (win_rate := published["win_rate"]) is not None:
        result |= {"win_rate": win_rate["value"], "win_rate_ci": [win_rate["low"], win_rate["high"]]}
    return result


def ingested_lines(outcome: IngestResult, campaign: str) -> list[str]:
    """Describe what a delivery added, what was found in it, and what that means."""
    lines = [
        f"batch {outcome.batch}: {outcome.accepted:,} accepted, {outcome.quarantined:,} quarantined, "
        f"{outcome.duplicates:,} duplicates",
        *(f"  quarantined {count:,}: {reason} ..." for reason, count in Counter(outcome.reasons).most_common(10)),
        *(
            [f"  ignored: the columns {', '.join(one_line(each) or '(no name)' for each in outcome.ignored)}"]
            if outcome.ignored
            else []
        ),
        *(f"  {finding['fault']}: {finding['evidence']}" for finding in outcome.findings),
    ]
    if outcome.held:
        names = ", ".join(map(one_line, outcome.held[:10])) + (" ..." if len(outcome.held) > 10 else "")
        lines.append(f"  labelers on hold: {names}: their answers do not count (andon decide --labeler)")
    if outcome.decision != "accept":
        lines.append(f"on {outcome.decision}: these answers do not count until a person decides:")
        lines.append(f"  andon decide {campaign} {outcome.batch} accept --reason ...   (or reject)")
    lines += [f"quality report: {outcome.report}"] if outcome.report else []
    if outcome.compares:
        return [*lines, f"answers of an evaluation: nothing is trained on them; see andon report {campaign}"]
    return [*lines, f"label set {outcome.label_set}" if outcome.label_set else "no labels count yet"]


def plan_lines(found: Plan) -> list[str]:
    """Describe what a batch would tell and cost."""
    source = "measured" if found.agreement_measured else "assumed, nothing was measured yet"
    lines = [
        f"questions            {found.questions:,}; with copies and gold {found.rows:,} answers to pay for",
        f"cost                 {found.cost:,.2f}",
        f"agreement            {found.agreement:.2f} of two people on one question ({source})",
        "alpha                unknown: no question is copied (--overlap)"
        if found.alpha is None
        else f"alpha                {found.alpha} expected, from {found.alpha.n:,} copied questions",
        f"gold                 {found.gold_a_labeler:.1f} a labeler: {_on_gold(found)}",
        f"win rate             known to within {found.win_rate_width:.3f} from bound to bound",
        f"noise ceiling        {found.ceiling:.2f}: no reward model can agree with one label more often",
    ]
    lines += [f"  {p.labels:>9,} labels  {proportion(p.right, p.held_out)} of held-out labels" for p in found.curve]
    if found.expected_accuracy is None or found.gained is None:
        return [*lines, "accuracy             to be foreseen needs three runs, or andon plan --measure"]
    gained = found.gained
    worth = "cannot be told from so few held-out labels whether it is worth it"
    if gained.low > WORTH:
        worth = "worth it"
    elif gained.high < WORTH:
        worth = f"hardly worth it: below {WORTH:.0%}"
    return [
        *lines,
        f"accuracy             {found.expected_accuracy.value:.3f} expected with these labels, {gained.value:+.3f} "
        f"(95 %: {gained.low:+.3f} to {gained.high:+.3f}): {worth}",
    ]


def _on_gold(found: Plan) -> str:
    """Say what known answers tell of one person."""
    if found.gold_a_labeler < FEWEST_GOLD:
        return f"too few to judge one person by ({FEWEST_GOLD}); who guesses is looked for among all answers together"
    return (
        f"one who guesses is caught with {found.guesser_caught:.0%}, "
        f"one right in nine of ten is accused with {found.good_one_accused:.1%}"
    )


def run_lines(result: Result) -> list[str]:
    """Describe a finished run in a few lines."""
    low, high = result["reward_accuracy_ci"]
    lines = []
    if "win_rate" in result:
        ci_low, ci_high = result["win_rate_ci"]
        lines.append(f"win rate over zero-shot   {result['win_rate']:.3f}   95 %: {ci_low:.3f} to {ci_high:.3f}")
    lines += [
        f"reward-model accuracy     {result['reward_accuracy']:.3f}   95 %: {low:.3f} to {high:.3f}; "
        f"chance {result['reward_accuracy_chance']:.3f}",
        f"KL from the base          {result['kl_nats_per_seq']:.2f}    nats a sequence",
        f"labels                    {result['labels']:,}",
        f"champion                  {'yes' if result['champion'] else 'no'}",
        f"policy                    {result['policy']}",
        f"report                    {result['report']}",
    ]
    return lines


def evaluation_lines(facts: Result) -> list[str]:
    """Show an evaluation as a table, a system a line."""
    rows = table(facts)
    widths = {title: max(len(title), *(len(row[title]) for row in rows)) for title in rows[0]}
    lines = ["  ".join(title.ljust(width) for title, width in widths.items()).rstrip()]
    lines += ["  ".join(row[title].ljust(width) for title, width in widths.items()).rstrip() for row in rows]
    where = [f"report  {facts['report']}"] if "report" in facts else [f"in  {facts['published']}"]
    return [f"{facts['pairs']:,} queries", *lines, *where]


def demo_table(store_uri: str, campaign: str, result: Result) -> list[str]:
    """Show what the demo's rounds bought: numbers, and samples before and after."""
    published = find_run(open_store(store_uri), campaign, result["run"])
    evaluation = read_manifest(open_store(store_uri), published.manifest["inputs"]["evaluation"])
    assert evaluation is not None
    lines = ["", f"store                     {result['store']}", *run_lines(result), ""]
    for row in pq.read_table(evaluation.path("responses.parquet")).to_pylist()[: 4 * len(evaluation["systems"])]:
        if row["system"] == evaluation["systems"][0]:
            lines += [f"  query      ... {one_line(row['query'])[-90:]}"]
        if row["system"] in ("zero-shot", "policy"):
            lines += [f"  {row['system']:<10} {one_line(row['response'])}"] + [""] * (row["system"] == "policy")
    return lines


def status_result(store_uri: str) -> Result:
    """Return every campaign of a store with its rounds."""
    store = open_store(store_uri)
    found = []
    for name in folders(store, CAMPAIGNS):
        found.append(
            {
                "campaign": name,
                "champion": champion(store, name),
                "withdrawn": under_champion(store, name),
                "batches": [batch["batch"] for batch in batches(store, name)],
                "labels": sum(added(entry) for entry in deliveries(store, name)),
                "runs": [run["run"] for run in runs(store, name)],
                "rounds": [turn._asdict() for turn in rounds(store, name)],
                "training": (held := holder(store, name)) and held.document(),
                "comparisons": [
                    each._asdict() | {"contest": each.contest and each.contest.document()}
                    for each in human_results(store, name)
                ],
                "refused": [
                    {"file": refusal.file, "code": refusal.code, "reason": refusal.text}
                    for namespace in (name, comparisons_of(name))
                    for refusal in refusals(store, namespace)
                ],
            }
        )
    stopped = [pull._asdict() for pull in open_pulls(store)]
    return {"store": store.uri, "stopped": stopped, "campaigns": found}


def status_lines(result: Result) -> list[str]:
    """Show the rounds of every campaign on one screen."""
    lines = [
        f"STOPPED  {pull['scope']}, by {one_line(pull['by'])} at {pull['at']}: {one_line(pull['reason'])}"
        f"  (andon release {pull['pull']} --reason ...)"
        for pull in result["stopped"]
    ]
    if not result["campaigns"]:
        return [*lines, f"{result['store']} is empty: andon export CAMPAIGN, or andon demo, begins one."]
    for campaign in result["campaigns"]:
        lines.append(f"{campaign['campaign']}   champion: {campaign['champion'] or 'the base'}")
        lines += [f"  its champion learned from {each} (andon rollback)" for each in campaign["withdrawn"]]
        if training := campaign["training"]:
            silent = "" if training["alive"] else "  (expired: the next retrain takes over)"
            lines.append(f"  trained by {training['holder']} since {_minute(training['since'])} UTC{silent}")
        if campaign["refused"]:
            last = campaign["refused"][-1]
            lines.append(
                f"  {len(campaign['refused']):,} deliveries refused: {one_line(last['file'] + ': ' + last['reason'])}"
            )
        for each in campaign["comparisons"]:
            left, right = each["systems"]
            said = (
                str(Proportion(**each["contest"]["win_rate"]))
                if each["contest"]
                else f"waits for {each['questions']:,} answers"
            )
            said = f"on {each['decision']}: {each['why']}" if each["decision"] in ("hold", "reject") else said
            lines.append(f"  {each['batch']}: people on {left} beside {right}: {said}")
        lines.append("  round  questions  labels  win rate  since (UTC)       waits for")
        for turn in campaign["rounds"]:
            win_rate = f"{turn['win_rate']:.3f}" if turn["win_rate"] is not None else "-"
            row = f"  {turn['number']:>5}  {turn['questions']:>9,}  {turn['labels']:>6,}  {win_rate:>8}  "
            lines.append(f"{row}{_minute(turn['since'])}  {turn['waits_for']}")
            lines.append("         " + "  ".join([*turn["batches"], *([turn["run"]] if turn["run"] else [])]))
    return lines


def _minute(at: str) -> str:
    """Show a time of a log, which is UTC, to the minute."""
    return at[:16].replace("T", " ")
