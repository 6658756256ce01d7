"""What changed in a campaign since its labels were asked for, and a person's decision to train on them all the same.

Labels answer the question that people were asked. If the instructions, the texts or the options are others now, the
same labels may say the opposite. Each class of settings names the fields that decide
nothing of that: `free`.
"""

from typing import Any, NotRequired, TypedDict, cast

from data.batches.index import batches
from data.campaign import Campaign
from data.canonical import canonical_json
from data.errors import Refused
from data.escape import is_blank, shown
from data.labels.label_sets import label_set_document
from data.runs.registry import runs
from data.store import Store

LONGEST = 60  # characters of a value in a message


class Change(TypedDict):
    """A setting that is another one now than when a batch was published."""

    batch: str
    setting: str
    before: Any
    now: Any


class ChangeDecision(TypedDict):
    """The changes that a person accepted, recorded in the manifest of the run."""

    changes: list[Change]
    reason: str
    by: str
    decided_for: NotRequired[str]  # the earlier run for which the person decided


def changes_since_asked(store: Store, campaign: Campaign, label_set: str) -> list[Change]:
    """Return what changed since the batches of a label set were published; old batches name no settings."""
    used = label_set_document(store, campaign.name, label_set)
    return [
        {"batch": batch["batch"], "setting": name, "before": before, "now": now}
        for batch in batches(store, campaign.name)
        if batch["batch"] in used["batches"]
        for name, before, now in campaign.changes_since(batch.facts.get("campaign", {}))
    ]


def decide_changes(
    store: Store, campaign: Campaign, label_set: str, despite: str | None, by: str
) -> ChangeDecision | None:
    """Return a person's decision about the changes, None if nothing changed; raise Refused if nobody decided.

    A decision of an earlier run is in force while there are no other changes.
    """
    if despite is not None and is_blank(despite):
        raise Refused("--despite needs a reason: say why labels that answer another question shall be used.")
    changes = changes_since_asked(store, campaign, label_set)
    if not changes:
        return None
    if despite is not None:
        return {"changes": changes, "reason": despite, "by": by}
    wanted = {canonical_json(change) for change in changes}
    for run in reversed(runs(store, campaign.name)):
        earlier = cast(ChangeDecision | None, run.facts.get("changes"))
        if earlier and wanted <= {canonical_json(change) for change in earlier["changes"]}:
            name = earlier.get("decided_for", run.facts["run"])
            return {"changes": changes, "reason": earlier["reason"], "by": earlier["by"], "decided_for": name}
    raise Refused(
        f"Campaign {campaign.name} changed since its labels were asked for: {describe_changes(changes)}. "
        'Restore these settings, or train all the same: --despite "your reason".'
    )


def describe_changes(changes: list[Change]) -> str:
    """Return each changed setting with its old and new value, and the batches that have the old one."""
    by_setting: dict[tuple[str, str, str], list[str]] = {}
    for change in changes:
        key = change["setting"], shown(change["before"], LONGEST), shown(change["now"], LONGEST)
        by_setting.setdefault(key, []).append(change["batch"])
    return "; ".join(
        f"{setting} was {before}, and is {now} (batch {names[0]}{f' and {len(names) - 1} more' if names[1:] else ''})"
        for (setting, before, now), names in by_setting.items()
    )
