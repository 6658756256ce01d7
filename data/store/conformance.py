"""Whether a store does what its contract says: asked of the store itself, before anything depends on it.

Several threads race to create one name, over and over; a server that ignores `If-None-Match` lets more than one win, or
a later one overwrite, and would lose labels and pulls without an error. What the probe writes lies where checkpoints
may lie, the only names that may be removed again.
"""

import secrets
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from botocore.exceptions import ClientError

from data.store.base import Store
from data.store.s3 import S3Store

ROUNDS, CONTENDERS = 2, 4


def violations(store: Store, scratch: Path) -> list[str]:
    """Name what the store does not hold of its contract; `scratch` is an empty folder. Raises Refused out of reach."""
    prefix = f"doctor/checkpoints/{secrets.token_hex(6)}"
    names = [f"{prefix}/{number}" for number in range(ROUNDS)]
    try:
        found = [fault for name in names for fault in _race(store, name)]
        found += _listing(store, prefix, names) + _file(store, f"{prefix}/file", scratch / "file")
        return found + (_checksum(store, f"{prefix}/checksum") if isinstance(store, S3Store) else [])
    finally:
        for key in store.keys(prefix):
            store.drop(key)


def _race(store: Store, key: str) -> list[str]:
    contents = [b"%d" % number * 1000 for number in range(CONTENDERS)]
    with ThreadPoolExecutor(CONTENDERS) as pool:
        created = list(pool.map(lambda content: store.put_new(key, content), contents))
    kept = store.read(key)
    later = store.put_new(key, b"later")
    if sum(created) != 1 or later or store.read(key) != kept:
        return [
            f"of {CONTENDERS + 1} writers of one new name {sum(created) + later} were told that they created it: this "
            "store does not hold conditional puts, and would lose labels and pulls of the cord. Use another one"
        ]
    return [] if kept == contents[created.index(True)] else ["what the winner of a race wrote is not what is read"]


def _listing(store: Store, prefix: str, names: list[str]) -> list[str]:
    return [] if store.keys(prefix) == sorted(names) else ["what was just created is not listed"]


def _file(store: Store, key: str, path: Path) -> list[str]:
    path.write_bytes(secrets.token_bytes(100_000))
    store.put_file(key, path)
    same = store.local_path(key).read_bytes() == path.read_bytes()
    return [] if same else ["a file that was stored comes back with other bytes"]


def _checksum(store: S3Store, key: str) -> list[str]:
    wrong = b64encode(sha256(b"other").digest()).decode()
    try:
        store.client.put_object(**store.name(key), Body=b"bytes", ChecksumSHA256=wrong, IfNoneMatch="*")
    except ClientError:
        return []
    return ["bytes that do not match their checksum are taken: damage on the way would go unseen"]
