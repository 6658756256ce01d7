"""Links into a store in S3 for vendors, who have no credentials: each to one object, for some days.

Whoever has a download link reads one file. An upload link takes one file under a name of ours and never a second one:
`If-None-Match: *` is part of what is signed, so a request without it is refused and what lies there stays.
"""

import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from data.errors import Refused
from data.paths import inbox_prefix
from data.store.base import Store
from data.store.s3 import S3Store

VENDOR = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
DAYS = 7  # the longest that a signature of S3 lasts


class Link(NamedTuple):
    """An address that anybody may use who has it, until it ends."""

    key: str
    url: str
    ends: str


def download_link(store: Store, key: str) -> Link:
    """Return a link to read one object."""
    s3 = in_s3(store)
    name = key.rsplit("/", 1)[1]
    shown = {"ResponseContentDisposition": f'attachment; filename="{name}"'}
    return _signed(s3, "get_object", key, shown)


def upload_link(store: Store, campaign: str, batch: str, vendor: str) -> Link:
    """Return a link to deliver one file into the inbox of a batch; its user must send `If-None-Match: *`."""
    if not VENDOR.fullmatch(vendor):
        raise Refused(f"A vendor's name is written in a-z, 0-9 and -, such as acme; not {vendor[:40]!r}.")
    key = f"{inbox_prefix(campaign, batch)}/{vendor}-{secrets.token_hex(8)}"
    return _signed(in_s3(store), "put_object", key, {"IfNoneMatch": "*"})


def _signed(store: S3Store, request: str, key: str, further: dict[str, str]) -> Link:
    lasts = timedelta(days=DAYS)
    url = store.client.generate_presigned_url(
        request, Params=store.name(key) | further, ExpiresIn=int(lasts.total_seconds())
    )
    return Link(key, url, (datetime.now(UTC) + lasts).isoformat(timespec="minutes"))


def in_s3(store: Store) -> S3Store:
    """Return the store; raise Refused where links cannot be made."""
    if not isinstance(store, S3Store):
        raise Refused(f"Links need a store in S3, and {store.uri} is a folder: send the files themselves.")
    return store
