"""Publishing: the files of a step first, its manifest last. A step whose manifest exists is done.

Each attempt's files lie in a folder named by their content, so a second attempt after a crash cannot meet half of the
first; the manifest, which exists once, says which folder counts. Every read goes through the manifest's hashes.
"""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from data.canonical import Document, content_id, seal, sha256, sha256_of_file, unseal
from data.errors import Refused
from data.shapes import Time, checked_shape
from data.store.base import Store

MANIFEST_VERSION = 1
REPORTED_PACKAGES = ("andon", "torch", "transformers", "prefect", "pyarrow", "numpy")


class File(TypedDict):
    """A file of a publication."""

    key: str
    sha256: str


class Manifest(TypedDict):
    """What every manifest has."""

    manifest_version: int
    kind: str
    files: dict[str, File]
    inputs: Document
    facts: Document
    began: Time
    ended: Time
    packages: dict[str, str]


@dataclass(frozen=True)
class Publication:
    """A published step: its manifest, and its files, checked against their hashes whenever they are read."""

    store: Store
    prefix: str
    manifest: Document

    def __getitem__(self, name: str) -> Any:
        """Return one entry of what the step said of itself (its `facts`); raise Refused if it has none of that name."""
        try:
            return self.manifest["facts"][name]
        except KeyError as error:
            raise Refused(f"{self.where} has no fact {name}. Restore it from a backup.") from error

    def get(self, name: str, default: Any = None) -> Any:
        """Return one of its facts, or `default` for one that it does not have, as in older stores."""
        return self.manifest["facts"].get(name, default)

    @property
    def where(self) -> str:
        """Where the manifest is, for messages."""
        return f"{self.prefix}/manifest.json in {self.store.uri}"

    def names(self) -> list[str]:
        return sorted(self.manifest["files"])

    def key(self, name: str) -> str:
        key: str = self.manifest["files"][name]["key"]
        return key

    def address(self, name: str) -> str:
        """Return where people find a file, after a look at it: a path, or s3://bucket/key."""
        self.path(name)
        return f"{self.store.uri}/{self.key(name)}"

    def path(self, name: str) -> Path:
        """Return a local file with the bytes that were published; raise Refused where they changed since."""
        entry = self.manifest["files"].get(name)
        if entry is None:
            raise Refused(f"{self.where} names no file {name}. Restore it from a backup.")
        return checked(self.store, entry["key"], entry["sha256"])

    def folder(self) -> Path:
        """Return a local folder with all files of the step, each one checked."""
        paths = {name: self.path(name) for name in self.names()}
        name, path = next(iter(paths.items()))
        return path.parents[name.count("/")]

    def folder_address(self) -> str:
        """Return where people find all files of the step; they are not read, for there may be gigabytes of them."""
        name = self.names()[0]
        return f"{self.store.uri}/{self.key(name).removesuffix(f'/{name}')}"


def checked(store: Store, key: str, sha256: str) -> Path:
    """Return a local file that holds `key`; raise Refused where it is missing, or is not what was written."""
    try:
        path = store.local_path(key)
    except (FileNotFoundError, ValueError) as error:
        raise Refused(f"{key} is missing from {store.uri}: restore it from a backup.") from error
    if sha256_of_file(path) != sha256:
        raise Refused(f"{key} in {store.uri} is damaged: restore it from a backup, or run again.")
    return path


def read_manifest(store: Store, prefix: str) -> Publication | None:
    """Return the published step at `prefix`; None if it never happened."""
    try:
        data = store.read(f"{prefix}/manifest.json")
    except FileNotFoundError:
        return None
    where = f"{prefix}/manifest.json in {store.uri}"
    document = unseal(data, where)
    if document.get("manifest_version", MANIFEST_VERSION) != MANIFEST_VERSION:
        raise Refused(f"{where} was written by another version of Andon: read it with that version.")
    checked_shape(document, Manifest, where)
    return Publication(store, prefix, document)


def publish(
    store: Store,
    prefix: str,
    kind: str,
    files: Mapping[str, Path | bytes],
    *,
    inputs: Document,
    facts: Document,
    began: datetime,
) -> Publication:
    """Publish a step at `prefix` and return it; where another attempt was first, return that one.

    `files` maps names below `prefix` to content, `inputs` names what the step was made from (the lineage), and
    `facts` is what it says of itself (counts, metrics, settings).
    """
    hashes = {name: sha256(f) if isinstance(f, bytes) else sha256_of_file(f) for name, f in files.items()}
    attempt = content_id(hashes)
    entries = {}
    for name, content in files.items():
        key = f"{prefix}/{attempt}/{name}"
        if isinstance(content, bytes):
            store.put_new(key, content)
            size = len(content)
        else:
            store.put_file(key, content)
            size = content.stat().st_size
        entries[name] = {"key": key, "sha256": hashes[name], "bytes": size}
    document = {
        "manifest_version": MANIFEST_VERSION,
        "kind": kind,
        "files": entries,
        "inputs": inputs,
        "facts": facts,
        "began": began.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "packages": {name: metadata.version(name) for name in REPORTED_PACKAGES},
        "python": platform.python_version(),
        "hardware": f"{platform.machine()} {platform.processor()}".strip(),
    }
    store.put_new(f"{prefix}/manifest.json", seal(document))
    published = read_manifest(store, prefix)
    assert published is not None
    return published
