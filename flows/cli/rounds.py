"""Commands that run a round or train: `andon demo`, `andon round` and `andon retrain`."""

import time
from typing import Annotated, NotRequired, TypedDict

import pyarrow.parquet as pq
import typer

from data.campaign import load_campaign
from data.escape import one_line
from data.evaluation.deciding import facts_by_decision
from data.rounds.status import RoundState, rounds
from data.runs.champion import champion
from data.runs.registry import find_run, policy_of
from data.store import open_store
from data.store.manifest import read_manifest
from data.store.user_state import username
from flows.cli.app import app
from flows.cli.environment import prepare
from flows.cli.options import STORE, Base, By, DespiteChanges, Json, Launch, Name, Preset, Seed, StoreUri
from flows.cli.output import finish


class RunResult(TypedDict):
    """What scripts read of a finished run."""

    run: str
    policy: str
    report: str
    store: str
    label_set: str
    labels: int
    reward_accuracy: float
    reward_accuracy_ci: list[float]
    reward_accuracy_chance: float
    kl_nats_per_seq: float
    champion: bool
    win_rate: NotRequired[float]
    win_rate_ci: NotRequired[list[float]]
    rounds: NotRequired[int]
    seconds: NotRequired[float]


@app.command()
def demo(store: StoreUri = "andon-demo", seed: Seed = 1, as_json: Json = False) -> None:
    """Run two rounds with simulated labelers, and show what they achieved.

    The demo starts from the embedded base and needs no settings.
    """
    began = time.monotonic()
    prepare(store)
    from flows.batch_round import batch_round
    from tasks.leases import round_lease

    with round_lease(store, "sentiment"):
        for number in (1, 2):
            run = batch_round("sentiment", store, seed=seed, preset="demo", round_number=number)
    assert run is not None
    result = run_result(store, "sentiment", run)
    result["rounds"], result["seconds"] = 2, round(time.monotonic() - began, 1)
    finish(result, as_json, demo_lines(store, "sentiment", result))


@app.command("round")
def one_round(
    campaign: Name,
    labels: Annotated[
        int | None,
        typer.Option("--labels", min=1, help="About how many labels to train on, including repeated questions."),
    ] = None,
    store: StoreUri = STORE,
    seed: Seed = 1,
    base: Base = None,
    preset: Preset = None,
    despite: DespiteChanges = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Run the round that is due, as far as labels are available.

    Simulated labelers answer at once, so the round ends with a trained policy. People need time, so the round ends
    with the files to send to them.
    """
    began = time.monotonic()
    settings = load_campaign(campaign, preset)
    prepare(store)
    from flows.batch_round import batch_round
    from flows.cli.handoff import hand_off, handoff_lines
    from tasks.leases import round_lease

    questions = settings.batch.questions_for(labels) if labels else None
    with round_lease(store, settings.name):
        run = batch_round(campaign, store, questions, seed, base, preset, despite=despite, by=by or username())
    if run is not None:
        result = run_result(store, settings.name, run)
        result["seconds"] = round(time.monotonic() - began, 1)
        return finish(result, as_json, run_lines(result))
    waiting = next(r for r in rounds(open_store(store), settings.name) if r.run is None)
    batch = waiting.batches[-1]
    facts: dict[str, object] = {"round": waiting.number, "batches": waiting.batches, "waits_for": waiting.waits_for}
    lines = [f"round {waiting.number}: batch {batch} waits for {waiting.waits_for}"]
    if waiting.state == RoundState.LABELS:
        handoff = hand_off(store, settings.name, batch)
        facts |= handoff.document()
        lines += handoff_lines(handoff, campaign, store)[1:]
    finish(facts, as_json, lines)


@app.command()
def retrain(
    campaign: Name,
    store: StoreUri = STORE,
    seed: Seed = 1,
    base: Base = None,
    preset: Preset = None,
    launch: Launch = None,
    despite: DespiteChanges = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Train a reward model and a policy from the base on all labels that count.

    The policy is then evaluated, reported, and promoted if it passes the gate.
    """
    name = load_campaign(campaign, preset).name
    prepare(store)
    from flows.retrain import retrain as flow

    run = flow(campaign, store, seed, base, preset, launch=launch, despite=despite, by=by or username())
    result = run_result(store, name, run)
    finish(result, as_json, run_lines(result))


def run_result(store_uri: str, campaign: str, run: str) -> RunResult:
    """Return what scripts read of a finished run."""
    store = open_store(store_uri)
    published = find_run(store, campaign, run)
    accuracy, win_rate = published.facts["reward_accuracy"], facts_by_decision(store, campaign, published)["win_rate"]
    result = RunResult(
        run=run,
        policy=policy_of(store, campaign, run).folder_address(),
        report=published.address("report.html"),
        store=store.uri,
        label_set=published.facts["label_set"],
        labels=published.facts["labels"],
        reward_accuracy=accuracy["value"],
        reward_accuracy_ci=[accuracy["low"], accuracy["high"]],
        reward_accuracy_chance=published.facts["reward_accuracy_chance"],
        kl_nats_per_seq=published.facts["kl_nats_per_seq"],
        champion=champion(store, campaign) == run,
    )
    if win_rate is not None:
        result["win_rate"], result["win_rate_ci"] = win_rate["value"], [win_rate["low"], win_rate["high"]]
    return result


def run_lines(result: RunResult) -> list[str]:
    """Describe a finished run in a few lines."""
    lines = []
    if "win_rate" in result:
        low, high = result["win_rate_ci"]
        lines.append(f"win rate over zero-shot   {result['win_rate']:.3f}   95 %: {low:.3f} to {high:.3f}")
    low, high = result["reward_accuracy_ci"]
    return [
        *lines,
        f"reward-model accuracy     {result['reward_accuracy']:.3f}   95 %: {low:.3f} to {high:.3f}; "
        f"chance {result['reward_accuracy_chance']:.3f}",
        f"KL from the base          {result['kl_nats_per_seq']:.2f}    nats per sequence",
        f"labels                    {result['labels']:,}",
        f"champion                  {'yes' if result['champion'] else 'no'}",
        f"policy                    {result['policy']}",
        f"report                    {result['report']}",
    ]


def demo_lines(store_uri: str, campaign: str, result: RunResult) -> list[str]:
    """Show what the rounds of the demo achieved: numbers, and samples before and after training."""
    store = open_store(store_uri)
    published = find_run(store, campaign, result["run"])
    evaluation = read_manifest(store, published.manifest["inputs"]["evaluation"])
    assert evaluation is not None
    systems = evaluation["systems"]
    lines = ["", f"store                     {result['store']}", *run_lines(result), ""]
    for row in pq.read_table(evaluation.path("responses.parquet")).to_pylist()[: 4 * len(systems)]:
        if row["system"] == systems[0]:
            lines.append(f"  query      ... {one_line(row['query'])[-90:]}")
        if row["system"] in ("zero-shot", "policy"):
            lines.append(f"  {row['system']:<10} {one_line(row['response'])}")
        if row["system"] == "policy":
            lines.append("")
    return lines
