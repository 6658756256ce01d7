"""Building a run again from what its manifest names, in a place of its own, and saying whether the same came out."""

from typing import Any

from data.batches.index import batches
from data.canonical import Document
from data.errors import Refused
from data.labels.label_sets import read_label_set
from data.paths import CAMPAIGNS, KEY_FILE, label_set_key, run_prefix
from data.store import Store, folders
from data.store.manifest import Publication, read_manifest

CIRCUMSTANCES = ("device", "precision", "threads")  # of a training, which may decide its last bits


def find_anywhere(store: Store, run: str) -> Publication:
    """Return a finished run of whichever campaign; raise Refused where there is none."""
    found = (read_manifest(store, run_prefix(campaign, run)) for campaign in folders(store, CAMPAIGNS))
    published = next((each for each in found if each is not None), None)
    if published is None:
        raise Refused(f"There is no finished run {run} in {store.uri}; andon status lists them.")
    return published


def step_of(store: Store, run: Publication, step: str) -> Publication | None:
    """Return a training of a run, None where the run had none of that name."""
    return read_manifest(store, run.manifest["inputs"].get(step, f"{run.prefix}/{step}"))


def copy_inputs(store: Store, campaign: str, label_set: str, scratch: Store) -> None:
    """Copy a label set, its labels, and the batches that they answer into an empty store, every file checked."""
    document, _ = read_label_set(store, campaign, label_set)
    key = label_set_key(campaign, label_set)
    scratch.put_new(key, store.read(key))
    for accepted, _ in document["files"]:
        scratch.put_new(accepted, store.read(accepted))
    for batch in batches(store, campaign):
        if batch["batch"] in document["batches"]:
            scratch.put_file(batch.key(KEY_FILE), batch.path(KEY_FILE))
            scratch.put_new(f"{batch.prefix}/manifest.json", store.read(f"{batch.prefix}/manifest.json"))


def differing(recorded: Publication, rebuilt: Publication) -> list[str]:
    """Name the weights of a training that came out otherwise."""
    before, now = (
        {name: entry["sha256"] for name, entry in each.manifest["files"].items() if _is_weight(name)}
        for each in (recorded, rebuilt)
    )
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def weights(recorded: Publication) -> int:
    return sum(_is_weight(name) for name in recorded.names())


def _is_weight(name: str) -> bool:
    return name.endswith(".safetensors")


def circumstances(recorded: Publication, rebuilt: Publication) -> list[str]:
    """Say in what the machine and its packages differ from those of a training, which is why weights may."""
    before, now = (_around(each.manifest) for each in (recorded, rebuilt))
    found = [f"{name} {before[name]} then, {now.get(name)} now" for name in before if before[name] != now.get(name)]
    texts, read = (each.manifest["inputs"].get("queries") for each in (recorded, rebuilt))
    return [*found, "the files of queries are others now"] if texts and texts != read else found


def _around(manifest: Document) -> dict[str, Any]:
    facts: dict[str, Any] = {name: manifest["facts"].get(name) for name in CIRCUMSTANCES}
    facts |= manifest["packages"]
    return facts | {"python": manifest["python"], "hardware": manifest["hardware"]}
