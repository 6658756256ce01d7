"""Open a store by its address."""

from pathlib import Path

from data.errors import Refused
from data.store.base import Store
from data.store.local import LocalStore


def open_store(uri: str) -> Store:
    """Open the store at a local folder, or at s3://bucket/prefix."""
    if uri.startswith("s3://"):
        from data.store.s3 import S3Store

        return S3Store(uri)
    if "://" in uri:
        raise Refused(f"The store {uri} is neither a local folder nor s3://bucket/prefix.")
    path = Path(uri).expanduser()
    if path.exists() and not path.is_dir():
        raise Refused(f"The store {uri} is a file: name a folder, new or old.")
    return LocalStore(path)
