"""Published base checks: what one depends on, where it is, and the refusal if it failed."""

from typing import NamedTuple

from data.base_check.facts import MEANINGS, BaseCheck, described, findings
from data.campaign import Campaign
from data.canonical import Document, content_id
from data.errors import Refused
from data.escape import shown_name
from data.paths import check_prefix
from data.shapes import checked_shape
from data.store import Store
from data.store.manifest import Publication, read_manifest


class CheckInputs(NamedTuple):
    """All inputs that a check depends on. If one changes, the base is checked again."""

    weights: str  # fingerprint of the base
    config: str  # hash of the model's configuration
    tokenizer: str  # hash of the tokenizer's vocabulary and rules
    text: Document  # the campaign's text format
    samples: int  # responses to a question
    learner: str  # hash of the code that samples, trains and scores
    torch: str
    transformers: str
    device: str
    precision: str  # of trainings; the check itself is in fp32

    def check_id(self) -> str:
        """Return the name of the check."""
        return content_id(list(self))

    def prefix(self, campaign: str) -> str:
        """Return the folder of the check in the store."""
        return check_prefix(campaign, self.check_id())


def text_format(campaign: Campaign) -> Document:
    """Return the text settings that decide a check. Where own queries lie does not."""
    return campaign.text.model_dump(mode="json") | {"queries": campaign.text.source}


def find_check(store: Store, campaign: str, inputs: CheckInputs) -> Publication | None:
    """Return the check of these inputs; None if there is none."""
    return read_manifest(store, inputs.prefix(campaign))


def facts_of(check: Publication) -> BaseCheck:
    """Return the facts of a published check; raise Refused if they are not those of a check."""
    return checked_shape(check.manifest["facts"], BaseCheck, check.where)


def refuse_if_failed(check: Publication, base: str) -> None:
    """Raise Refused if a base failed its check, with the largest finding. `base` is its name in the campaign."""
    facts = facts_of(check)
    if facts["passed"]:
        return
    largest, *others = findings(facts["comparisons"])
    more = f" ({len(others)} more)" if others else ""
    raise Refused(
        f"The base {shown_name(base)} fails its check for this campaign: {described(largest)}{more}. Usual "
        f"cause: {MEANINGS[largest['code']].causes}. Give another base, or read {check.address('report.html')}."
    )
