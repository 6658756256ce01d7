"""The gate before the champion: what a run must show, and what the log says of it.

A run becomes champion if the lower bounds of its win rates over zero-shot and over the present champion clear the
campaign's bar, nothing is pulled, and the labels that it learned from still count. A tie keeps the champion. A person
may decide otherwise; the entry then names what the gate found against the run.

The bar and the evaluation are no part of a run's id. If either is changed, the same run is decided again.
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

FEWEST_PEOPLE = 3  # the spread of two is known to within a factor of ten, of one not at all


class GateCode(StrEnum):
    """The kinds of objection. They are stored: a code never changes its meaning."""

    AWAITS_DECISION = "awaits_decision"  # people's answers neither count nor were rejected
    NOT_JUDGED = "not_judged"
    FEW_PEOPLE = "few_people"
    BELOW_BAR = "below_bar"
    PULLED = "pulled"
    LABELS_WITHDRAWN = "labels_withdrawn"


class Objection(NamedTuple):
    """One thing that speaks against a run."""

    code: GateCode
    about: str  # a batch, a pull, or the system that the run is compared with
    text: str  # for people
    rate: Estimate | None = None

    def entry(self) -> ObjectionEntry:
        """Return it as the log keeps it, without its text."""
        rate = None if self.rate is None else [self.rate.value, self.rate.low, self.rate.high]
        return {"code": self.code.value, "about": self.about, "rate": rate}


class Verdict(NamedTuple):
    """Whether a run may become champion, with what speaks for it and against it."""

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
            text = f"what people said of it beside {name} waits for a decision: {one_line(why)} "
            text += f"(andon decide {campaign.name} {batch} accept, or reject)"
            objections.append(Objection(GateCode.AWAITS_DECISION, batch, text))
        found = _rate(store, campaign, run, opponent, evaluation)
        if found is None:
            how = "" if opponent == ZERO_SHOT or campaign.judges is None else f" (andon evaluate {campaign.name} {run})"
            objections.append(Objection(GateCode.NOT_JUDGED, opponent, f"nobody judged it beside {name}{how}"))
        elif found.people is not None and found.people < FEWEST_PEOPLE:
            few = "one person" if found.people == 1 else f"{found.people} people"
            text = f"only {few} judged enough of it beside {name}, and {FEWEST_PEOPLE} show how much people differ"
            objections.append(Objection(GateCode.FEW_PEOPLE, opponent, text, found.rate))
        elif found.rate.low > campaign.promotion.win_rate_above:
            speaks_for.append(f"win rate over {name} {found.rate}, by {found.judges}")
        else:
            tie = ": a tie" if found.rate.low <= 0.5 <= found.rate.high else ""
            bar = f"its lower bound does not clear {campaign.promotion.win_rate_above:g}"
            text = f"win rate over {name} {found.rate}, by {found.judges}: {bar}{tie}"
            objections.append(Objection(GateCode.BELOW_BAR, opponent, text, found.rate))
    for pull in open_pulls(store, campaign.name, run):
        text = f"{pull.pull} of {one_line(pull.by)} is open ({pull.scope}): {one_line(pull.reason)}"
        objections.append(Objection(GateCode.PULLED, pull.pull, text))
    objections += _withdrawn(store, campaign.name, label_set)
    return Verdict(not objections, tuple(speaks_for), tuple(objections))


class JudgedRate(NamedTuple):
    """How often a run was preferred to an opponent, and by whom."""

    rate: Estimate
    people: int | None = None  # how many; None: the campaign's judges

    @property
    def judges(self) -> str:
        return "the campaign's judges" if self.people is None else "people"


def _rate(store: Store, campaign: Campaign, run: str, opponent: str, evaluation: Publication) -> JudgedRate | None:
    """Return how often a run was preferred to an opponent, and by whom; people's word counts where there are any."""
    people = preferred_by_people(store, campaign.name, run, opponent, campaign.text)
    if people is not None:
        return JudgedRate(people.win_rate, people.labelers)
    facts = evaluation_facts(evaluation)
    measured = facts.get("win_rate")
    if opponent != ZERO_SHOT:
        measured = facts.get("champion_win_rate") if facts.get("runs", {}).get(CHAMPION) == opponent else None
    return None if measured is None else JudgedRate(Estimate(**measured))


def _withdrawn(store: Store, campaign: str, label_set: str) -> Iterator[Objection]:
    """Yield the labels of a set that no longer count: of whole batches, or of labelers in one."""
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
    """Say which labels that the champion learned from no longer count: a champion stays until somebody moves it."""
    leader = champion(store, campaign)
    if leader is None:
        return []
    label_set = find_run(store, campaign, leader).facts["label_set"]
    return [objection.text for objection in _withdrawn(store, campaign, label_set)]


def decide_by_gate(
    store: Store, campaign: Campaign, run: str, label_set: str, evaluation: Publication
) -> PromotionEntry | None:
    """Let the gate decide about a run, and return the log's entry; None if it was decided before.

    Raises Stopped while the line is stopped: then nothing is decided. A run that was promoted once, and perhaps rolled
    back, is not promoted again by itself.
    """

    def decide(entries: list[PromotionEntry]) -> Document | None:
        if any(entry["kind"] == "promote" and entry["run"] == run for entry in entries):
            return None
        leader = entries[-1]["run"] if entries else None
        verdict = gate(store, campaign, run, label_set, evaluation, leader)
        grounds = _grounds(campaign, evaluation, verdict)
        if verdict.holds:
            check(store, campaign.name, run)
            return {"kind": "promote", "run": run, "reason": verdict.text, "by": "the gate", **grounds}
        kept = {"kind": "keep", "run": leader, "candidate": run, "reason": verdict.text, "by": "the gate", **grounds}
        last = next((e for e in reversed(entries) if e["kind"] == "keep" and e["candidate"] == run), None)
        if last is not None and "settings" not in last and (own := settings_in_force(store, campaign.name, run)):
            last = last | {"settings": decision_settings(own)}  # an older entry: the run's own decided then
        return None if last is not None and _same(last, kept) else kept

    check(store, campaign.name, run)
    return PROMOTIONS.append(store, promotion_log_prefix(campaign.name), decide)


def promote_by_hand(
    store: Store, campaign: Campaign, run: str, reason: str | None, by: str, evaluation: Publication
) -> PromotionEntry | None:
    """Make a run champion by a person's word; None if it is champion already. Without a reason the gate must hold.

    Raises Stopped while a pull stops the campaign or the run: a release is the way out of that.
    """
    label_set = find_run(store, campaign.name, run).facts["label_set"]
    if reason is not None and is_blank(reason):
        raise Refused("A promotion against the gate needs a reason: say what was seen.")

    def further(leader: str | None) -> Document:
        verdict = gate(store, campaign, run, label_set, evaluation, leader)
        if not verdict.holds and reason is None:
            raise Refused(f"The gate does not hold for {run}: {verdict.text}. To promote it despite that: --reason ...")
        return {"reason": reason or verdict.text, "by": by, **_grounds(campaign, evaluation, verdict)}

    return promote(store, campaign.name, run, reason or "", further)


def _grounds(campaign: Campaign, evaluation: Publication, verdict: Verdict) -> Document:
    """Return what a decision goes by: the evaluation, the settings, and what speaks against the run."""
    return {
        "evaluation": evaluation.prefix,
        "settings": decision_settings(campaign),
        "objections": [objection.entry() for objection in verdict.objections],
        "against": list(verdict.against),
    }


def _same(earlier: Document, entry: Document) -> bool:
    """Return whether two entries decide the same on the same grounds. Sentences do not count, only their number."""
    fields = ("run", "candidate", "evaluation", "settings", "objections")
    alike = all(earlier.get(name, entry[name]) == entry[name] for name in fields)
    return alike and len(earlier.get("against", ())) == len(entry["against"])
