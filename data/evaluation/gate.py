"""The gate before the champion: what a run must show, and what the log says of it.

A run becomes champion where the lower bounds of its win rates over zero-shot and over the present champion clear the
campaign's bar, nothing is pulled, and the labels that it learned from still count. A tie keeps the champion. A person
may decide otherwise; then the entry says despite what.
"""

from collections.abc import Sequence
from typing import NamedTuple

from data.campaign import Campaign
from data.canonical import Document, content_id
from data.cord.cord import check, open_pulls
from data.errors import Refused
from data.escape import one_line
from data.evaluation.human_evaluation import preferred_by_people, undecided
from data.evaluation.systems import CHAMPION, ZERO_SHOT
from data.labels.decisions import batch_statuses
from data.labels.label_sets import label_set_document
from data.measures.intervals import Estimate
from data.paths import promotion_log_prefix, run_prefix
from data.runs.champion import champion, opponent_of, promote
from data.runs.registry import find_run
from data.store import Store, folders, log
from data.store.manifest import Publication, read_manifest

FEWEST_PEOPLE = 3  # the spread of two is known to within a factor of ten, of one not at all


class Verdict(NamedTuple):
    """Whether a run may become champion, with what speaks for it and against it, in words."""

    holds: bool
    speaks_for: tuple[str, ...]
    against: tuple[str, ...]

    @property
    def text(self) -> str:
        return "; ".join(self.speaks_for if self.holds else self.against)


def gate(
    store: Store, campaign: Campaign, run: str, label_set: str, evaluation: Publication, leader: str | None
) -> Verdict:
    """Look whether a run may take the place of `leader`, the champion of now (None: the base)."""
    speaks_for: list[str] = []
    against: list[str] = []
    for opponent in [ZERO_SHOT] if leader in (None, run) else [ZERO_SHOT, str(leader)]:
        name = opponent if opponent == ZERO_SHOT else f"the champion {opponent}"
        against += [
            f"what people said of it beside {name} waits for a decision: {one_line(why)} "
            f"(andon decide {campaign.name} {batch} accept, or reject)"
            for batch, why in undecided(store, campaign.name, run, opponent, campaign.text)
        ]
        found = _rate(store, campaign, run, opponent, evaluation)
        if found is None:
            how = "" if opponent == ZERO_SHOT or campaign.judges is None else f" (andon evaluate {campaign.name} {run})"
            against.append(f"nobody judged it beside {name}{how}")
        elif found.people is not None and found.people < FEWEST_PEOPLE:
            few = "one person" if found.people == 1 else f"{found.people} people"
            against.append(
                f"only {few} judged enough of it beside {name}, and {FEWEST_PEOPLE} show how much people differ"
            )
        elif found.rate.low > campaign.promotion.win_rate_above:
            speaks_for.append(f"win rate over {name} {found.rate}, by {found.judges}")
        else:
            tie = ": a tie" if found.rate.low <= 0.5 <= found.rate.high else ""
            bar = f"its lower bound does not clear {campaign.promotion.win_rate_above:g}"
            against.append(f"win rate over {name} {found.rate}, by {found.judges}: {bar}{tie}")
    against += [
        f"{pull.pull} of {one_line(pull.by)} is open ({pull.scope}): {one_line(pull.reason)}"
        for pull in open_pulls(store, campaign.name, run)
    ]
    against += withdrawn(store, campaign.name, label_set)
    return Verdict(not against, tuple(speaks_for), tuple(against))


def evaluation_of(store: Store, campaign: str, run: str) -> Publication:
    """Return the evaluation that decides about a finished run: the first one beside the champion that it has to beat.

    Only those by the run's own settings decide, and never a later one: else somebody tries until one suits.
    """
    finished = find_run(store, campaign, run).manifest
    first = read_manifest(store, finished["inputs"]["evaluation"])
    assert first is not None
    folder, leader = f"{run_prefix(campaign, run)}/evaluations", opponent_of(store, campaign, run)
    own = first.get("rules")
    if own is None and "campaign" in finished["facts"]:  # from before evaluations said by which settings they are
        own = content_id(Campaign.model_validate(finished["facts"]["campaign"]).measuring())
    found = [read_manifest(store, f"{folder}/{name}") for name in folders(store, folder)]
    known = [first, *sorted((each for each in found if each is not None), key=lambda each: str(each.manifest["ended"]))]
    beside = [each for each in known if each.get("runs", {}).get(CHAMPION) == leader and each.get("rules", own) == own]
    return beside[0] if beside else first


class Judged(NamedTuple):
    """How often a run was preferred to an opponent, and by whom."""

    rate: Estimate
    people: int | None = None  # how many; None: the campaign's judges

    @property
    def judges(self) -> str:
        return "the campaign's judges" if self.people is None else "people"


def _rate(store: Store, campaign: Campaign, run: str, opponent: str, evaluation: Publication) -> Judged | None:
    """Return how often a run was preferred to an opponent, and by whom; people's word counts where there are any."""
    people = preferred_by_people(store, campaign.name, run, opponent, campaign.text)
    if people is not None:
        return Judged(people.win_rate, people.labelers)
    facts = evaluation.manifest["facts"]
    measured = facts["win_rate"]
    if opponent != ZERO_SHOT:
        measured = facts.get("champion_win_rate") if facts.get("runs", {}).get(CHAMPION) == opponent else None
    return None if measured is None else Judged(Estimate(**measured))


def withdrawn(store: Store, campaign: str, label_set: str) -> list[str]:
    """Say which labels of a set no longer count: of whole batches, or of labelers in one."""
    document = label_set_document(store, campaign, label_set)
    decided, said = batch_statuses(store, campaign), []
    for batch in document["batches"]:
        if batch not in decided:
            continue
        now = decided[batch]
        counted = [name for name, weight in document.get("weights", {}).get(batch, {}).items() if weight > 0]
        if now.decision != "accept":
            said.append(f"labels of batch {batch}: {now.decision} ({one_line(now.why)})")
        elif gone := sorted({*counted} & {*now.held}):
            shown = ", ".join(one_line(name) for name in gone[:3]) + (" ..." if len(gone) > 3 else "")
            said.append(f"labels of batch {batch}: those of {len(gone):,} of its labelers no longer count ({shown})")
    return said


def under_champion(store: Store, campaign: str) -> list[str]:
    """Say which labels that the champion learned from no longer count: a champion stays until somebody moves it."""
    leader = champion(store, campaign)
    return withdrawn(store, campaign, find_run(store, campaign, leader)["label_set"]) if leader else []


def decide_by_gate(
    store: Store, campaign: Campaign, run: str, label_set: str, evaluation: Publication
) -> Document | None:
    """Let the gate decide about a run, and return the log's entry; None where it was decided before.

    Raises Stopped where the line is stopped: then nothing is decided. A run that was promoted once, and perhaps rolled
    back, is not promoted again by itself.
    """

    def decide(so_far: list[Document]) -> Document | None:
        if any(entry["kind"] == "promote" and entry["run"] == run for entry in so_far):
            return None
        leader = so_far[-1]["run"] if so_far else None
        verdict = gate(store, campaign, run, label_set, evaluation, leader)
        if verdict.holds:
            check(store, campaign.name, run)
            return {"kind": "promote", "run": run, "reason": verdict.text, "by": "the gate", **_of(evaluation, ())}
        kept = {"kind": "keep", "run": leader, "candidate": run, "reason": verdict.text, "by": "the gate"}
        kept |= _of(evaluation, verdict.against)
        last = next((e for e in reversed(so_far) if e["kind"] == "keep" and e["candidate"] == run), {})
        return None if {name: last.get(name) for name in kept} == kept else kept

    check(store, campaign.name, run)
    return log.append(store, promotion_log_prefix(campaign.name), decide)


def promote_by_hand(
    store: Store, campaign: Campaign, run: str, reason: str | None, by: str, evaluation: Publication
) -> Document | None:
    """Make a run champion by a person's word; None where it is already. Without a reason the gate must hold.

    Raises Stopped while a pull stops the campaign or the run: a release is the way out of that.
    """
    label_set = find_run(store, campaign.name, run)["label_set"]
    if reason is not None and not reason.strip():
        raise Refused("To promote a run whatever the gate says needs a reason: say what was seen.")

    def said(leader: str | None) -> Document:
        verdict = gate(store, campaign, run, label_set, evaluation, leader)
        if not verdict.holds and reason is None:
            raise Refused(f"The gate does not hold for {run}: {verdict.text}. To promote it despite that: --reason ...")
        return {"reason": reason or verdict.text, "by": by, **_of(evaluation, verdict.against)}

    return promote(store, campaign.name, run, reason or "", said)


def _of(evaluation: Publication, despite: Sequence[str]) -> Document:
    return {"evaluation": evaluation.prefix, "against": list(despite)}
