"""Read everything in a store and name what is damaged: each object against the hash that is kept of it."""

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import NamedTuple

from data.canonical import sha256, unseal
from data.errors import Refused
from data.store.base import Store
from data.store.log import numbered
from data.store.manifest import read_manifest

FOLDERS = ("campaigns", "cord", "labelers", "leases", "live")
ATTEMPT = re.compile(r"x[0-9a-f]{15}")  # the folder of the files of a publication, or of an attempt at one
NAMED = re.compile(r"(?:dropped-)?([0-9a-f]{24}|[0-9a-f]{64})(?:\.parquet|\.jsonl)?")  # by the hash of its bytes


class Verified(NamedTuple):
    """What a look at every object found."""

    objects: int
    damaged: list[str]  # one line each
    unchecked: list[str]  # keys of which no hash is kept: attempts that died, deliveries that nobody took in yet


def verify(store: Store, foreign: Collection[str] = ()) -> Verified:
    """Read every object once; look for holes in logs and for files that a manifest names and nobody finds.

    Keys in `foreign` are nobody's, and cannot be checked.
    """
    keys = [key for folder in FOLDERS for key in store.keys(folder)]
    damaged: list[str] = []
    unchecked: list[str] = []
    published: dict[str, str] = {}  # key -> sha256
    for prefix in sorted({key.rsplit("/", 1)[0] for key in keys if "/log/" in key}):
        try:
            numbered(store, prefix)
        except Refused as refusal:
            damaged.append(str(refusal))
    for key in keys:
        if key.endswith("/manifest.json"):
            with suppress(Refused):  # it is named below, as every sealed document
                published |= _files(store, key)
    for key in keys:
        fault = None if key in foreign else _fault(store, key, published)
        if fault is None:
            unchecked.append(key)
        elif fault:
            damaged.append(fault)
    for key in sorted(published.keys() - set(keys)):
        damaged.append(f"{key} is missing from {store.uri}: restore it from a backup.")
    return Verified(len(keys), damaged, unchecked)


def _files(store: Store, manifest: str) -> dict[str, str]:
    published = read_manifest(store, manifest.removesuffix("/manifest.json"))
    files = published.manifest["files"].values() if published else ()  # a checkpoint may just have been dropped
    return {entry["key"]: entry["sha256"] for entry in files}


def _fault(store: Store, key: str, published: Mapping[str, str]) -> str | None:
    """Return what is wrong with an object, or nothing; None where nobody can tell."""
    *folders, name = key.split("/")
    stated = published.get(key)
    if stated is None and any(ATTEMPT.fullmatch(folder) for folder in folders):
        return None
    if stated is None and (named := NAMED.fullmatch(name)):
        stated = named.group(1)
    try:
        if stated is not None:
            whole = sha256(store.read(key)).startswith(stated)
            return "" if whole else f"{key} in {store.uri} is damaged: restore it from a backup."
        if name.endswith(".json") and "inbox" not in folders:
            unseal(store.read(key), f"{key} in {store.uri}")
            return ""
    except Refused as refusal:
        return str(refusal)
    except FileNotFoundError:
        return ""  # a checkpoint that was dropped meanwhile
    return None
