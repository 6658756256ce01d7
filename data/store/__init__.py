"""Bytes written once: local folder and S3, manifests, logs."""

from data.store.base import Store, folders
from data.store.local import LocalStore
from data.store.uri import hurried, open_store

__all__ = ["LocalStore", "Store", "folders", "hurried", "open_store"]
