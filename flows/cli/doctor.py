"""`andon doctor`: what is wrong with this installation, the store, the cord and the leases."""

import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from packaging.requirements import Requirement

from data.cord import cord
from data.errors import Refused
from data.paths import CAMPAIGNS
from data.runs import leases
from data.store import LocalStore, Store, folders, open_store
from data.store.conformance import violations
from data.store.integrity import verify
from flows.cli.options import STORE, Json, StoreUri, app, finish


class Finding(NamedTuple):
    """One thing that was looked at."""

    what: str
    wrong: bool
    said: str


@app.command()
def doctor(
    store: StoreUri = STORE,
    whole: Annotated[bool, typer.Option("--verify", help="also read every object and check its hash")] = False,
    as_json: Json = False,
) -> None:
    """Say what is wrong with this installation, store, cord and leases.

    Races conditional puts in the store, and refuses one that does not hold them. Exit code 1 if anything is wrong.
    """
    found = [*_packages(), _machine(), *_store(store, whole)]
    wrong = [each for each in found if each.wrong]
    lines = [f"{'WRONG' if each.wrong else 'ok':<6} {each.what:<12} {each.said}" for each in found]
    finish({"wrong": len(wrong), "findings": [each._asdict() for each in found]}, as_json, lines)
    if wrong:
        raise typer.Exit(1)


def _packages() -> list[Finding]:
    """Compare what is installed with what this version of Andon needs: Prefect breaks silently on some neighbours."""
    found = []
    for line in metadata.requires("andon") or []:
        needed = Requirement(line)
        if needed.marker is not None and not needed.marker.evaluate():
            continue
        try:
            version = metadata.version(needed.name)
        except metadata.PackageNotFoundError:
            found.append(Finding("packages", True, f"{needed.name} is missing: install Andon with its constraints.txt"))
            continue
        if not needed.specifier.contains(version, prereleases=True):
            found.append(
                Finding("packages", True, f"{needed.name} {version} is installed; it must be {needed.specifier}")
            )
    shown = ", ".join(f"{name} {metadata.version(name)}" for name in ("andon", "torch", "prefect", "pyarrow", "boto3"))
    return found or [Finding("packages", False, shown)]


def _machine() -> Finding:
    from models.lm.machine import this_machine

    device, precision, threads, cores = this_machine()
    said = f"{device}, {precision}, {threads} threads a process on {cores} cores"
    if threads > cores:
        return Finding("machine", True, f"{said}: set OMP_NUM_THREADS to {cores} or less, or trainings crawl")
    return Finding("machine", False, said)


def _store(uri: str, whole: bool) -> list[Finding]:
    try:
        store = open_store(uri)
        if isinstance(store, LocalStore) and not store.root.is_dir():
            return [Finding("store", False, f"{store.uri} is not there yet; the first export or demo makes it")]
        with tempfile.TemporaryDirectory() as scratch:
            broken = violations(store, Path(scratch))
    except Refused as refusal:
        return [Finding("store", True, str(refusal))]
    if broken:
        return [Finding("store", True, f"{store.uri}: {fault}.") for fault in broken]
    found = [Finding("store", False, f"{store.uri} holds its contract: create once, read, list, remove")]
    looks: dict[str, Callable[[Store], list[Finding]]] = {"cord": _cord, "leases": _leases}
    if whole:
        looks["objects"] = _objects
    for what, look in looks.items():
        try:
            found += look(store)
        except Refused as refusal:
            found.append(Finding(what, True, str(refusal)))
    return found


def _cord(store: Store) -> list[Finding]:
    still = cord.open_pulls(store)
    if kept := [each.pull for each in still if each.spooled]:
        return [Finding("cord", True, f"the store does not take what was pulled on this machine: {', '.join(kept)}")]
    stopped = ", ".join(f"{each.pull} ({each.scope})" for each in still)
    return [Finding("cord", False, f"pulled: {stopped}; andon cord says why" if still else "the line is free")]


def _leases(store: Store) -> list[Finding]:
    found = []
    for campaign in folders(store, CAMPAIGNS):
        held = leases.holder(store, campaign)
        if held is not None:
            state = "is in force" if held.alive else "has expired; the next retrain will take it over"
            text = f"the lease on {campaign}, held by {held.text} since {held.since}, {state}"
            found.append(Finding("leases", False, text))
    return found or [Finding("leases", False, "nobody trains")]


def _objects(store: Store) -> list[Finding]:
    looked = verify(store)
    said = f"{looked.objects:,} objects, {len(looked.unchecked):,} of which nothing refers to and no hash is kept"
    return [Finding("objects", True, line) for line in looked.damaged] or [Finding("objects", False, said)]
