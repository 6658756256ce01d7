"""Where the things of a campaign are in the store: every key below it begins with what a function here returns.

Comparisons of systems have a namespace of their own below their campaign, apart from what models learn from. Batches,
inbox, labels and decisions in this namespace have the same layout as the campaign's own. So the same code exports,
ingests and assesses them, and no label set of the campaign can read their answers.
"""

import re

CAMPAIGNS = "campaigns"
COMPARISONS = "comparisons"
KEY_FILE = "key/samples.parquet"
CORD_LOG = "cord/log"
LEASE_LOG = "leases/log"
LABELER_LOG = "labelers/log"
LIVE = "live"

# Names of files. Readers use only files with these names: file managers and people leave others in the same folders.
LABEL_SET_FILE = re.compile(r"ls[0-9a-z]+\.json")
RECORD_FILE = re.compile(r"[0-9a-z]+\.json")  # named by a hash
BEAT_FILE = re.compile(r"[0-9]{8}T[0-9]{12}\.json")  # named by a time
LIVE_FILE = re.compile(r"[0-9]{8}T[0-9]{12}-[^/]+\.json")  # named by a time and a run
CHECKPOINT = re.compile(r"[0-9]{8}")  # the folder of a checkpoint, named by its step

# The keys that Andon writes. The folders of the page and the inbox have rules of their own.
KEYS = re.compile(
    "|".join(
        [
            r"campaigns/.+/manifest\.json",
            r"campaigns/.+/x[0-9a-f]{15}/.+",  # the files of a publication
            r"(campaigns/.+|cord|leases|labelers)/log/[0-9]{10}\.json",
            r"campaigns/.+/labels/(accepted|quarantined|skipped)/[0-9a-z]+\.(parquet|jsonl)",
            rf"campaigns/.+/quality/refused/{RECORD_FILE.pattern}",
            rf"campaigns/.+/label_sets/{LABEL_SET_FILE.pattern}",
            r"campaigns/.+/(inbox|page)/[^/]+/.+",
            rf"leases/beats/[^/]+/[0-9]{{10}}/{BEAT_FILE.pattern}",
            rf"live/[^/]+/{LIVE_FILE.pattern}",
            r"doctor/checkpoints/.+",
        ]
    )
)


def comparisons_of(campaign: str) -> str:
    """Return the name under which a campaign's comparisons are kept."""
    return f"{campaign}/{COMPARISONS}"


def campaign_of(name: str) -> str:
    """Return the campaign that a name belongs to, its own or that of its comparisons."""
    return name.removesuffix(f"/{COMPARISONS}")


def name_in(prefix: str) -> str:
    """Return the name, a campaign's or that of its comparisons, under which a batch at `prefix` is kept."""
    return prefix.removeprefix(f"{CAMPAIGNS}/").rsplit("/batches/", 1)[0]


def campaign_prefix(name: str) -> str:
    return f"{CAMPAIGNS}/{name}"


def batches_prefix(name: str) -> str:
    return f"{campaign_prefix(name)}/batches"


def batch_prefix(name: str, batch: str) -> str:
    return f"{batches_prefix(name)}/{batch}"


def inbox_prefix(name: str, batch: str) -> str:
    """Return the folder into which vendors put answers to a batch."""
    return f"{campaign_prefix(name)}/inbox/{batch}"


def label_log_prefix(name: str) -> str:
    return f"{campaign_prefix(name)}/labels/log"


def accepted_key(name: str, digest: str) -> str:
    return f"{campaign_prefix(name)}/labels/accepted/{digest}.parquet"


def quarantined_key(name: str, digest: str) -> str:
    return f"{campaign_prefix(name)}/labels/quarantined/{digest}.jsonl"


def skipped_key(name: str, digest: str) -> str:
    return f"{campaign_prefix(name)}/labels/skipped/{digest}.parquet"


def label_sets_prefix(campaign: str) -> str:
    return f"{campaign_prefix(campaign)}/label_sets"


def label_set_key(campaign: str, label_set: str) -> str:
    return f"{label_sets_prefix(campaign)}/{label_set}.json"


def quality_log_prefix(name: str) -> str:
    """Return the log of what was decided about the answers to each batch."""
    return f"{campaign_prefix(name)}/quality/log"


def refusals_prefix(name: str) -> str:
    return f"{campaign_prefix(name)}/quality/refused"


def refusal_key(name: str, digest: str) -> str:
    """Return where it is recorded that the file with this SHA-256 was refused."""
    return f"{refusals_prefix(name)}/{digest}.json"


def quality_report_prefix(name: str, about: str, report: str) -> str:
    """Return the folder of a report about a batch, about all `vendors`, or about a `refused` file."""
    return f"{campaign_prefix(name)}/quality/reports/{about}/{report}"


def runs_prefix(campaign: str) -> str:
    return f"{campaign_prefix(campaign)}/runs"


def run_prefix(campaign: str, run: str) -> str:
    return f"{runs_prefix(campaign)}/{run}"


def evaluations_prefix(campaign: str) -> str:
    """Return the folder of evaluations of any systems; those of a run are in the folder of the run."""
    return f"{campaign_prefix(campaign)}/evaluations"


def promotion_log_prefix(campaign: str) -> str:
    return f"{campaign_prefix(campaign)}/promotions/log"


def reports_prefix(campaign: str) -> str:
    return f"{campaign_prefix(campaign)}/reports"


def curves_prefix(campaign: str) -> str:
    """Return the folder of measured learning curves."""
    return f"{campaign_prefix(campaign)}/curves"


def sheets_prefix(campaign: str) -> str:
    return f"{campaign_prefix(campaign)}/sheets"


def check_prefix(campaign: str, check: str) -> str:
    """Return the folder of a check of a base."""
    return f"{campaign_prefix(campaign)}/checks/{check}"


def page_prefix(name: str, batch: str) -> str:
    """Return the folder of what people answered about a batch on the labeling page."""
    return f"{campaign_prefix(name)}/page/{batch}"


def live_prefix(campaign: str) -> str:
    """Return the folder of the samples that runs in progress show."""
    return f"{LIVE}/{campaign}"


def beats_prefix(campaign: str, epoch: int) -> str:
    """Return the folder in which the holder of a lease shows that it lives."""
    return f"leases/beats/{campaign}/{epoch:010d}"
