"""`andon plan`: what a batch costs and how much it teaches, before you pay for it."""

from typing import Annotated

import typer

from data.batches.composition import FEWEST_GOLD
from data.campaign import load_campaign
from data.labels.decisions import batch_statuses, decision_log
from data.measures.intervals import proportion
from data.rounds.plan import WORTH, Plan, curve_of_runs, measured_curve, plan
from data.store import open_store
from flows.cli.app import app
from flows.cli.environment import prepare
from flows.cli.options import STORE, Base, Json, Name, Preset, Seed, StoreUri, hint
from flows.cli.output import finish


@app.command("plan")
def plan_batch(
    campaign: Name,
    labels: Annotated[
        int | None,
        typer.Option(
            "--labels", min=1, help="How many labels to train on. The default is the number of questions in a batch."
        ),
    ] = None,
    price: Annotated[float, typer.Option("--price", min=0, help="The price of one answer.")] = 0.0,
    overlap: Annotated[
        float | None, typer.Option("--overlap", min=0, max=1, help="The share of questions that are sent again.")
    ] = None,
    gold: Annotated[
        float | None, typer.Option("--gold", min=0, max=0.5, help="The number of gold questions for each question.")
    ] = None,
    labelers: Annotated[int, typer.Option("--labelers", min=1, help="How many people answer.")] = 20,
    measure: Annotated[
        bool, typer.Option("--measure", help="First train reward models on parts of the labels, to get their curve.")
    ] = False,
    seed: Seed = 1,
    base: Base = None,
    preset: Preset = None,
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Predict what a batch costs and how much it teaches, before you pay for it.

    The expected accuracy of the reward model is extrapolated from the learning curve of the labels so far. Without a
    measured curve, the finished runs serve as one.
    """
    shares = {"overlap_share": overlap, "gold_share": gold}
    settings = load_campaign(campaign, preset, {"batch": {k: v for k, v in shares.items() if v is not None}})
    opened = open_store(store)
    counts = {batch for batch, status in batch_statuses(opened, settings.name).items() if status.counts}
    agreements = [
        entry["measures"]["agreement"]
        for entry in decision_log(opened, settings.name)
        if entry["kind"] == "assessment" and entry["batch"] in counts
    ]
    measured = next((agreement["value"] for agreement in reversed(agreements) if agreement), None)
    if measure:
        prepare(store)
        from flows.measure_curve import measure_curve

        measure_curve(campaign, store, seed, base, preset)
    curve = measured_curve(opened, settings.name) or curve_of_runs(opened, settings.name)
    result = plan(settings, labels or settings.batch.questions, price, labelers, measured, curve)
    finish(result._asdict(), as_json, plan_lines(result, hint(store, "plan", campaign, "--measure")))


def plan_lines(planned: Plan, measuring: str) -> list[str]:
    """Describe what a batch costs and teaches; `measuring` is the command that measures the learning curve."""
    source = "measured" if planned.agreement_measured else "assumed: nothing has been measured yet"
    lines = [
        f"questions            {planned.questions:,}, and {planned.rows:,} answers to pay for, with copies and gold",
        f"cost                 {planned.cost:,.2f}",
        f"agreement            {planned.agreement:.2f} of two people on one question ({source})",
        "alpha                unknown: no question is copied (--overlap)"
        if planned.alpha is None
        else f"alpha                {planned.alpha:.2f} expected, from {planned.alpha.n:,} copied questions",
        f"gold                 {planned.gold_a_labeler:.1f} per labeler: {_on_gold(planned)}",
        f"win rate             95 % interval {planned.win_rate_width:.3f} wide",
        f"noise ceiling        {planned.ceiling:.2f}: no reward model can agree with single labels more often",
    ]
    lines += [f"  {p.labels:>9,} labels  {proportion(p.right, p.held_out)} of held-out labels" for p in planned.curve]
    if planned.expected_accuracy is None or planned.gained is None:
        return [*lines, f"accuracy             unknown: needs three finished runs, or run {measuring}"]
    gained = planned.gained
    verdict = "too few held-out labels to tell whether the batch is worth it"
    if gained.low > WORTH:
        verdict = "worth it"
    elif gained.high < WORTH:
        verdict = f"hardly worth it: below {WORTH:.0%}"
    return [
        *lines,
        f"accuracy             {planned.expected_accuracy.value:.3f} expected with these labels, {gained.value:+.3f} "
        f"(95 %: {gained.low:+.3f} to {gained.high:+.3f}): {verdict}",
    ]


def _on_gold(planned: Plan) -> str:
    """Say what the gold questions reveal about one labeler."""
    if planned.gold_a_labeler < FEWEST_GOLD:
        return f"too few to judge one person by ({FEWEST_GOLD}); guessing is detected over all answers together"
    return (
        f"a labeler who guesses is detected with {planned.guesser_caught:.0%}, "
        f"a labeler who is right nine times in ten is suspected with {planned.good_one_accused:.1%}"
    )
