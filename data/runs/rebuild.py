"""Rebuilding: a run is trained again from its manifest in another store, and the weights are compared."""

from typing import Any

from data.batches.index import batches
from data.canonical import Document
from data.errors import Refused
from data.labels.label_sets import read_label_set
from data.paths import CAMPAIGNS, KEY_FILE, label_set_key, run_prefix
from data.store import Store, folders
from data.store.manifest import Publication, read_manifest

CIRCUMSTANCES = ("device", "precision", "threads")  # facts of a training that may change the last bits of its weights


def find_anywhere(store: Store, run: str) -> Publication:
    """Return a finished run of any campaign; raise Refused if there is none."""
    manifests = (read_manifest(store, run_prefix(campaign, run)) for campaign in folders(store, CAMPAIGNS))
    published = next(filter(None, manifests), None)
    if published is None:
        raise Refused(f"{store.uri} has no finished run {run}. andon status lists the runs.")
    return published


def step_of(store: Store, run: Publication, step: str) -> Publication | None:
    """Return a training of a run by its name; None if the run has none of that name."""
    return read_manifest(store, run.manifest["inputs"].get(step, f"{run.prefix}/{step}"))


def copy_inputs(store: Store, campaign: str, label_set: str, scratch: Store) -> None:
    """Copy a label set, its labels and their batches into an empty store. Every file is checked."""
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
    """Return the names of the weight files of a training that differ."""
    before, now = _weight_hashes(recorded), _weight_hashes(rebuilt)
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def weights(recorded: Publication) -> int:
    """Return the number of weight files of a training."""
    return len(_weight_hashes(recorded))


def _weight_hashes(training: Publication) -> dict[str, str]:
    files = training.manifest["files"].items()
    return {name: entry["sha256"] for name, entry in files if name.endswith(".safetensors")}


def circumstances(recorded: Publication, rebuilt: Publication) -> list[str]:
    """Return the differences in machine, packages and query files, which may be why weights differ, as texts."""
    before, now = _surroundings(recorded.manifest), _surroundings(rebuilt.manifest)
    texts = [f"{name} {before[name]} then, {now.get(name)} now" for name in before if before[name] != now.get(name)]
    queries = recorded.manifest["inputs"].get("queries")
    if queries and queries != rebuilt.manifest["inputs"].get("queries"):
        texts.append("the files of queries have changed")
    return texts


def _surroundings(manifest: Document) -> dict[str, Any]:
    facts: dict[str, Any] = {name: manifest["facts"].get(name) for name in CIRCUMSTANCES}
    facts |= manifest["packages"]
    return facts | {"python": manifest["python"], "hardware": manifest["hardware"]}
