"""The promotion gate: the conditions for a run to become champion, and the log entries of its decisions.

A run becomes champion if three conditions hold:
- The lower bounds of its win rates over zero-shot and over the present champion are above the campaign's bar.
- No pull is open.
- The labels that it learned from still count.

A tie keeps the champion. A person may decide otherwise, and the log entry then names the objections of the gate.
The bar and the evaluation are not part of a run's id. If either changes, the same run is decided again.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from data.campaign import Campaign
from data.canonical import Document
from data.cord.cord import check, open_pulls
from data.errors import Refused
from data.escape import is_blank, one_line
from data.evaluation.deciding import decision_settings, settings_in_force
from data.evaluation.facts import evaluation_facts
from data.evaluation.human_evaluation import preferred_by_people, undecided
from data.evaluation.systems import CHAMPION, ZERO_SHOT
from data.labels.decisions import batch_statuses
from data.labels.label_sets import label_set_document
from data.measures.intervals import Estimate
from data.paths import promotion_log_prefix
from data.runs.champion import (
    PROMOTIONS,
    ObjectionEntry,
    PromotionEntry,
    champion,
    promote,
)
from data.runs.registry import find_run
from data.store import Store
from data.store.manifest import Publication

FEWEST_PEOPLE = 3  # two people show their spread only to within a factor of ten, one person does not show it


class GateCode(StrEnum):
    """The kinds of objection. They are stored: a code never changes its meaning."""

    AWAITS_DECISION = "awaits_decision"  # people's answers were neither accepted nor rejected
    NOT_JUDGED = "not_judged"
    FEW_PEOPLE = "few_people"
    BELOW_BAR = "below_bar"
    PULLED = "pulled"
    LABELS_WITHDRAWN = "labels_withdrawn"


class Objection(NamedTuple):
    """One reason against the promotion of a run."""

    code: GateCode
    about: str  # a batch, a pull, or the system that the run is compared with
    text: str  # for people
    rate: Estimate | None = None

    def entry(self) -> ObjectionEntry:
        """Return the objection as the log stores it, without its text."""
        rate = None if self.rate is None else [self.rate.value, self.rate.low, self.rate.high]
        return {"code": self.code.value, "about": self.about, "rate": rate}


class Verdict(NamedTuple):
    """Whether a run may become champion, with the reasons for and against."""

    holds: bool
    speaks_for: tuple[str, ...]
    objections: tuple[Objection, ...]

    @property
    def against(self) -> tuple[str, ...]:
        return tuple(objection.text for objection in self.objections)

    @property
    def text(self) -> str:
        return "; ".join(self.speaks_for if self.holds else self.against)


def gate(
    store: Store, campaign: Campaign, run: str, label_set: str, evaluation: Publication, leader: str | None
) -> Verdict:
    """Return whether a run may take the place of `leader`, the present champion (None: the base)."""
    speaks_for: list[str] = []
    objections: list[Objection] = []
    for opponent in [ZERO_SHOT] if leader in (None, run) else [ZERO_SHOT, str(leader)]:
        name = opponent if opponent == ZERO_SHOT else f"the champion {opponent}"
        for batch, why in undecided(store, campaign.name, run, opponent, campaign.text):
            text = f"people's answers that compare it with {name} wait for a decision: {one_line(why)} "
            text += f"(andon decide {campaign.name} {batch} accept, or reject)"
            objections.append(Objection(GateCode.AWAITS_DECISION, batch, text))
        judged = _rate(store, campaign, run, opponent, evaluation)
        if judged is None:
            how = "" if opponent == ZERO_SHOT or campaign.judges is None else f" (andon evaluate {campaign.name} {run})"
            objections.append(Objection(GateCode.NOT_JUDGED, opponent, f"it was not judged against {name}{how}"))
        elif judged.people is not None and judged.people < FEWEST_PEOPLE:
            few = "one person" if judged.people == 1 else f"{judged.people} people"
            text = f"only {few} answered enough questions about it and {name}, but the gate needs {FEWEST_PEOPLE}"
            objections.append(Objection(GateCode.FEW_PEOPLE, opponent, text, judged.rate))
        elif judged.rate.low > campaign.promotion.win_rate_above:
            speaks_for.append(f"win rate over {name} {judged.rate}, by {judged.judges}")
        else:
            tie = ": a tie" if judged.rate.low <= 0.5 <= judged.rate.high else ""
            bar = f"its lower bound is not above {campaign.promotion.win_rate_above:g}"
            text = f"win rate over {name} {judged.rate}, by {judged.judges}: {bar}{tie}"
            objections.append(Objection(GateCode.BELOW_BAR, opponent, text, judged.rate))
    for pull in open_pulls(store, campaign.name, run):
        text = f"{pull.pull} of {one_line(pull.by)} is open ({pull.scope}): {one_line(pull.reason)}"
        objections.append(Objection(GateCode.PULLED, pull.pull, text))
    objections += _withdrawn(store, campaign.name, label_set)
    return Verdict(not objections, tuple(speaks_for), tuple(objections))


class JudgedRate(NamedTuple):
    """Win rate of a run over an opponent, and who judged."""

    rate: Estimate
    people: int | None = None  # their number; None: the campaign's judges

    @property
    def judges(self) -> str:
        return "the campaign's judges" if self.people is None else "people"


def _rate(store: Store, campaign: Campaign, run: str, opponent: str, evaluation: Publication) -> JudgedRate | None:
    """Return the win rate of a run over an opponent. People's answers replace those of the campaign's judges."""
    people = preferred_by_people(store, campaign.name, run, opponent, campaign.text)
    if people is not None:
        return JudgedRate(people.win_rate, people.labelers)
    facts = evaluation_facts(evaluation)
    measured = facts.get("win_rate")
    if opponent != ZERO_SHOT:
        measured = facts.get("champion_win_rate") if facts.get("runs", {}).get(CHAMPION) == opponent else None
    return None if measured is None else JudgedRate(Estimate(**measured))


def _withdrawn(store: Store, campaign: str, label_set: str) -> Iterator[Objection]:
    """Yield an objection for each batch of a label set with labels that no longer count."""
    document, decided = label_set_document(store, campaign, label_set), batch_statuses(store, campaign)
    for batch in document["batches"]:
        if batch not in decided:
            continue
        now = decided[batch]
        counted = [name for name, weight in document.get("weights", {}).get(batch, {}).items() if weight > 0]
        if now.decision != "accept":
            text = f"labels of batch {batch}: {now.decision} ({one_line(now.why)})"
            yield Objection(GateCode.LABELS_WITHDRAWN, batch, text)
        elif gone := sorted({*counted} & {*now.held}):
            shown = ", ".join(one_line(name) for name in gone[:3]) + (" ..." if len(gone) > 3 else "")
            text = f"labels of batch {batch}: those of {len(gone):,} of its labelers no longer count ({shown})"
            yield Objection(GateCode.LABELS_WITHDRAWN, batch, text)


def under_champion(store: Store, campaign: str) -> list[str]:
    """Return texts that name the champion's labels that no longer count. The champion stays until a person moves it."""
    leader = champion(store, campaign)
    if leader is None:
        return []
    label_set = find_run(store, campaign, leader).facts["label_set"]
    return [objection.text for objection in _withdrawn(store, campaign, label_set)]


def decide_by_gate(
    store: Store, campaign: Campaign, run: str, label_set: str, evaluation: Publication
) -> PromotionEntry | None:
    """Let the gate decide about a run and return the log entry; None if the run was decided before.

    Raises Stopped while the line is stopped. A run that was promoted before, and perhaps rolled back, is not promoted
    again without a person.
    """

    def decide(entries: list[PromotionEntry]) -> Document | None:
        if any(entry["kind"] == "promote" and entry["run"] == run for entry in entries):
            return None
        leader = entries[-1]["run"] if entries else None
        verdict = gate(store, campaign, run, label_set, evaluation, leader)
        basis = _basis(campaign, evaluation, verdict)
        if verdict.holds:
            check(store, campaign.name, run)
            return {"kind": "promote", "run": run, "reason": verdict.text, "by": "the gate", **basis}
        kept = {"kind": "keep", "run": leader, "candidate": run, "reason": verdict.text, "by": "the gate", **basis}
        last = next((e for e in reversed(entries) if e["kind"] == "keep" and e["candidate"] == run), None)
        if last is not None and "settings" not in last and (own := settings_in_force(store, campaign.name, run)):
            last = last | {"settings": decision_settings(own)}  # older entries were decided by the run's own settings
        return None if last is not None and _same(last, kept) else kept

    check(store, campaign.name, run)
    return PROMOTIONS.append(store, promotion_log_prefix(campaign.name), decide)


def promote_by_hand(
    store: Store, campaign: Campaign, run: str, reason: str | None, by: str, evaluation: Publication
) -> PromotionEntry | None:
    """Make a run champion by a person's decision; None if it is champion already. Without a reason the gate must hold.

    Raises Stopped while a pull stops the campaign or the run; release the pull first.
    """
    label_set = find_run(store, campaign.name, run).facts["label_set"]
    if reason is not None and is_blank(reason):
        raise Refused("A promotion against the gate needs a reason. Write it after --reason.")

    def further(leader: str | None) -> Document:
        verdict = gate(store, campaign, run, label_set, evaluation, leader)
        if not verdict.holds and reason is None:
            raise Refused(f"The gate does not hold for {run}: {verdict.text}. To promote it anyway, give a --reason.")
        return {"reason": reason or verdict.text, "by": by, **_basis(campaign, evaluation, verdict)}

    return promote(store, campaign.name, run, reason or "", further)


def _basis(campaign: Campaign, evaluation: Publication, verdict: Verdict) -> Document:
    """Return the basis of a decision: the evaluation, the settings, and the objections."""
    return {
        "evaluation": evaluation.prefix,
        "settings": decision_settings(campaign),
        "objections": [objection.entry() for objection in verdict.objections],
        "against": list(verdict.against),
    }


def _same(earlier: Document, entry: Document) -> bool:
    """Return whether two entries have the same decision and basis. Of the sentences only their number is compared."""
    fields = ("run", "candidate", "evaluation", "settings", "objections")
    equal = all(earlier.get(name, entry[name]) == entry[name] for name in fields)
    return equal and len(earlier.get("against", ())) == len(entry["against"])
