"""`andon doctor`: checks of the installation, the store, the cord and the leases."""

import tempfile
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from packaging.requirements import Requirement

from data.cord import cord
from data.cord.entries import ids, named
from data.errors import Refused
from data.escape import in_ascii
from data.page.answers import foreign_keys
from data.paths import CAMPAIGNS
from data.runs import leases
from data.store import LocalStore, Store, folders, open_store
from data.store.conformance import violations
from data.store.foreign import foreign
from data.store.integrity import verify
from flows.cli.app import app
from flows.cli.options import STORE, Json, StoreUri, hint
from flows.cli.output import finish, minute


class Check(NamedTuple):
    """The result of one check."""

    what: str
    wrong: bool
    result: str


@app.command()
def doctor(
    store: StoreUri = STORE,
    whole: Annotated[bool, typer.Option("--verify", help="Also read every object and check its hash.")] = False,
    as_json: Json = False,
) -> None:
    """Check the installation, the store, the cord and the leases.

    The store must support conditional writes, which several writers test at once. The exit code is 1 if a check fails.
    """
    checks = [*_packages(), _machine(), *_store(store, whole)]
    wrong = [check for check in checks if check.wrong]
    lines = [f"{'WRONG' if check.wrong else 'ok':<6} {check.what:<12} {check.result}" for check in checks]
    finish({"wrong": len(wrong), "findings": [check._asdict() for check in checks]}, as_json, lines)
    if wrong:
        raise typer.Exit(1)


def _packages() -> list[Check]:
    """Compare the installed packages with Andon's requirements: Prefect breaks silently on some other versions."""
    failed = []
    for line in metadata.requires("andon") or []:
        needed = Requirement(line)
        if needed.marker is not None and not needed.marker.evaluate():
            continue
        try:
            version = metadata.version(needed.name)
        except metadata.PackageNotFoundError:
            failed.append(Check("packages", True, f"{needed.name} is missing: install Andon with its constraints.txt"))
            continue
        if not needed.specifier.contains(version, prereleases=True):
            failed.append(
                Check("packages", True, f"{needed.name} {version} is installed; it must be {needed.specifier}")
            )
    shown = ", ".join(f"{name} {metadata.version(name)}" for name in ("andon", "torch", "prefect", "pyarrow", "boto3"))
    return failed or [Check("packages", False, shown)]


def _machine() -> Check:
    from models.lm.machine import this_machine

    device, precision, threads, cores = this_machine()
    summary = f"{device}, {precision}, {threads} threads per process on {cores} cores"
    return Check("machine", False, summary)


def _store(uri: str, whole: bool) -> list[Check]:
    try:
        store = open_store(uri)
        if isinstance(store, LocalStore) and not store.root.is_dir():
            return [Check("store", False, f"{store.uri} does not exist yet; the first export or demo creates it")]
        with tempfile.TemporaryDirectory() as scratch:
            broken = violations(store, Path(scratch))
    except Refused as refusal:
        return [Check("store", True, str(refusal))]
    if broken:
        return [Check("store", True, f"{store.uri}: {fault}.") for fault in broken]
    checks = [Check("store", False, f"{store.uri} keeps its contract: create once, read, list, remove")]
    further: dict[str, Callable[[Store], list[Check]]] = {
        "cord": partial(_cord, uri),
        "leases": _leases,
        "foreign": _foreign,
    }
    if whole:
        further["objects"] = _objects
    for what, check in further.items():
        try:
            checks += check(store)
        except Refused as refusal:
            checks.append(Check(what, True, str(refusal)))
    return checks


def _cord(uri: str, store: Store) -> list[Check]:
    pulls = cord.open_pulls(store)
    if kept := [pull.pull for pull in pulls if pull.spooled]:
        return [Check("cord", True, f"pulls on this machine cannot be written to the store: {ids(kept)}")]
    state = f"pulled: {named(pulls)}; {hint(uri, 'cord')} says why" if pulls else "the line is free"
    return [Check("cord", False, state)]


def _leases(store: Store) -> list[Check]:
    checks = []
    for campaign in folders(store, CAMPAIGNS):
        held = leases.holder(store, campaign)
        if held is None:
            continue
        state = f"lease on {campaign} held by {held.text} since {minute(held.since)} UTC"
        expired = "" if held.alive else " has expired; the next retrain takes it over"
        checks.append(Check("leases", False, state + expired))
    return checks or [Check("leases", False, "no lease is held")]


def _foreign(store: Store) -> list[Check]:
    """Name what Andon did not write. Every reader passes over it, unless it is in the way of an entry."""
    strange = foreign(store)
    checks = [
        Check("foreign", True, f"{in_ascii(name)} has the name of an entry and is not a file. Move it out of the store")
        for name in strange.in_the_way
    ]
    names = sorted({*strange.passed_over, *foreign_keys(store.keys(CAMPAIGNS))})
    if names:
        named = ", ".join(in_ascii(name)[:200] for name in names[:5]) + (" ..." if len(names) > 5 else "")
        summary = f"{len(names):,} names in the store are not Andon's and are not read. Move them elsewhere: {named}"
        checks.append(Check("foreign", False, summary))
    return checks or [Check("foreign", False, "Andon wrote everything in the store")]


def _objects(store: Store) -> list[Check]:
    verified = verify(store, [*foreign(store).passed_over, *foreign_keys(store.keys(CAMPAIGNS))])
    summary = (
        f"{verified.objects:,} objects; no hash is recorded for {len(verified.unchecked):,} of them, "
        "because nothing refers to them"
    )
    damaged = [Check("objects", True, line) for line in verified.damaged]
    return damaged or [Check("objects", False, summary)]
