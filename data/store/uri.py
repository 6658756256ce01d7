"""Open a store by its address."""

from pathlib import Path

from data.errors import Refused
from data.store.base import Store
from data.store.local import LocalStore

S3 = "s3://"


def open_store(uri: str) -> Store:
    """Open the store at a local folder, or at s3://bucket/prefix."""
    if uri.startswith(S3):
        from data.store.s3 import S3Store

        return S3Store(uri)
    if "://" in uri:
        raise Refused(f"The store {uri} is neither a local folder nor s3://bucket/prefix.")
    if not uri.strip() or "\0" in uri:
        raise Refused(f"The store {uri!r} has no name. Give --store a folder or s3://bucket/prefix.")
    try:
        path = Path(uri).expanduser()
    except RuntimeError as error:
        raise Refused(f"The store {uri} begins with ~ and the name of no user here. Write the folder out.") from error
    if path.exists() and not path.is_dir():
        raise Refused(f"The store {uri} is a file. Name a folder, which may be new.")
    return LocalStore(path)


def hurried(store: Store) -> Store:
    """Return the store with time-outs of seconds instead of minutes, for the cord and those who watch it."""
    if not store.uri.startswith(S3):
        return store
    from data.store.s3 import HURRIED, S3Store

    return S3Store(store.uri, HURRIED) if type(store) is S3Store else store
