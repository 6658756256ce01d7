"""A network that spoils a quarter of all requests to S3: nothing lost, nothing twice, and no one is told otherwise."""

import sys
import tempfile
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from botocore.retries.standard import ExponentialBackoff

from data.canonical import Document
from data.errors import Unavailable
from data.store import Store, log, open_store, s3
from data.store.integrity import verify
from data.store.manifest import publish, read_manifest
from data.store.s3 import S3Store
from tests.support import faulty_proxy, seaweed

LARGE_EVERY, SMALLEST_PART = 4, 5 << 20  # bytes, the least that S3 takes
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Outcome(NamedTuple):
    """What the faults did."""

    requests: int
    faults: dict[str, int]
    given_up: int  # calls that ended with Unavailable, and were made again by the caller
    violations: list[str]


def rounds(server: seaweed.Server, uri: str, count: int, seed: int = 0, knows_its_own: bool = True) -> Outcome:
    """Publish and append `count` times through the faulty network; look at it through a sound one.

    Without `knows_its_own` the store forgets to look whose an object is that is there already.
    """
    given_up, entries, violations = 0, list[Document | None](), list[str]()
    with faulty_proxy.running(server.port, seed=seed) as proxy, ExitStack() as changed:
        changed.enter_context(
            patch.dict("os.environ", {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{proxy.server_port}"})
        )
        changed.enter_context(patch.object(ExponentialBackoff, "delay_amount", lambda *_: 0.001))  # do not wait
        if not knows_its_own:
            changed.enter_context(patch.object(S3Store, "_writer", lambda *_: "somebody's"))
        s3._client.cache_clear()
        store = open_store(uri)
        for number in range(count):
            prefix, content = f"campaigns/c/runs/r{number}", bytes([number]) * 20_000
            files: dict[str, Path | bytes] = {"model.bin": content, "a.bin": b"a", "b.bin": b"b"}
            while True:
                try:
                    publish(store, prefix, "run", files, inputs={}, facts={}, began=NOW)
                    published = read_manifest(store, prefix)
                    assert published is not None and published.path("model.bin").read_bytes() == content
                    break
                except Unavailable:
                    given_up += 1
            if number % LARGE_EVERY == 0:
                violations += _large(store, number)
            while True:
                try:
                    entries.append(log.append(store, "campaigns/c/labels/log", lambda _, n=number: {"n": n}))  # type: ignore[misc]
                    break
                except Unavailable:
                    given_up += 1
    s3._client.cache_clear()
    sound = open_store(uri)
    violations += verify(sound).damaged
    kept = log.entries(sound, "campaigns/c/labels/log")
    told = [entry["number"] for entry in entries if entry]
    if [kept[number - 1]["n"] for number in told] != list(range(count)):
        violations.append("an entry that was acknowledged is not there")
    if len(kept) > count + given_up:
        violations.append(f"{len(kept)} entries, where {count} were written and {given_up} calls ended in doubt")
    violations += [f"r{n} is lost" for n in range(count) if read_manifest(sound, f"campaigns/c/runs/r{n}") is None]
    return Outcome(proxy.requests, dict(proxy.faults), given_up, violations)


def _large(store: Store, number: int) -> list[str]:
    """Send a file in parts."""
    key, content = f"campaigns/c/large/{number}", bytes([number % 256]) * (SMALLEST_PART + 1)
    with tempfile.TemporaryDirectory() as folder, patch.object(s3, "PART", SMALLEST_PART):
        path = Path(folder) / "large"
        path.write_bytes(content)
        with suppress(Unavailable):  # then nobody was told that it is there
            if not store.put_file(key, path) or store.read(key) != content:
                return ["a large file that was sent is not known as ours"]
    return []


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        seaweed.running(Path(folder) / "server") as server,
        patch.dict("os.environ", server.environment),
    ):
        outcome = rounds(server, f"s3://{seaweed.BUCKET}/faults", int(sys.argv[1]))
    sys.stdout.write(
        f"network: {outcome.requests:,} requests, {sum(outcome.faults.values())} spoilt {outcome.faults}, "
        f"{outcome.given_up} calls given up and made again, {len(outcome.violations)} violations\n"
    )
    sys.stdout.writelines(f"  {line}\n" for line in outcome.violations[:20])
    sys.exit(bool(outcome.violations))


if __name__ == "__main__":
    main()
