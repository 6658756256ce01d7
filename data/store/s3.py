"""The store in an S3 bucket: the same contract as the folder's, on conditional puts.

Credentials, endpoint and region are boto3's own (AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_ENDPOINT_URL_S3 and so on). A put
creates its name or fails, so two writers need no lock. Every object carries a token of the call that wrote it, for when
an answer is lost on the way boto3 asks again, meets the object of its own first try, and is told that it exists.
The bucket's server must enforce `If-None-Match`: `andon doctor` races it.
"""

import atexit
import re
import secrets
import shutil
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from boto3.exceptions import Boto3Error
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from data.errors import Refused, Unavailable
from data.store.base import READERS, check_key, is_key
from data.store.s3_errors import code_of, failed_request, refused_request

ADDRESS = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/?(.*)")
PART = 16 << 20  # bytes; a larger file goes in parts, of which S3 takes 10,000
TRIES = 5
WRITER = "writer"
EXISTS = {"PreconditionFailed", "412"}
CONFLICTS = {"ConditionalRequestConflict", "OperationAborted", "NoSuchKey", "NoSuchUpload", "409", "404"}
BROKEN = (IncompleteReadError, ReadTimeoutError, ResponseStreamingError, FlexibleChecksumError)


class Patience(NamedTuple):
    """How long a client waits for one request, in seconds, and how often it tries."""

    connect_s: float
    read_s: float
    tries: int


PATIENT = Patience(5, 60, TRIES)
HURRIED = Patience(2, 3, 2)


class S3Store:
    """A prefix of a bucket."""

    def __init__(self, uri: str, patience: Patience | None = None) -> None:
        matched = ADDRESS.fullmatch(uri.rstrip("/"))
        if matched is None:
            raise Refused(f"The store {uri} is not an address in S3: write s3://bucket/prefix.")
        self.bucket, prefix = matched.groups()
        try:
            self._root = f"{check_key(prefix)}/" if prefix else ""
        except ValueError as error:
            raise Refused(
                f"The store {uri}: write its prefix in letters, digits and . _ = - between slashes."
            ) from error
        self.uri = f"s3://{self.bucket}/{self._root}".rstrip("/")
        try:
            self.client = _client(patience or PATIENT)
        except (BotoCoreError, ValueError) as error:
            raise Refused(
                f"{self.uri} cannot be opened: {error}. Check AWS_ENDPOINT_URL_S3 and AWS_PROFILE."
            ) from error

    def put_new(self, key: str, data: bytes) -> bool:
        checksum = _checksum(data)

        def put(name: dict[str, str], token: str) -> None:
            self.client.put_object(
                **name, Body=data, ChecksumSHA256=checksum, Metadata={WRITER: token}, IfNoneMatch="*"
            )

        return self._create(key, put)

    def put_file(self, key: str, source: Path) -> bool:
        if source.stat().st_size <= PART:
            return self.put_new(key, source.read_bytes())
        with self._asking(key):
            if self._writer(self.name(key)) is not None:  # names never change: gigabytes need not be sent to learn it
                return False
        return self._create(key, lambda name, token: self._send_parts(name, token, source))

    def read(self, key: str) -> bytes:
        with self._asking(key):
            for further in reversed(range(TRIES)):
                try:
                    data: bytes = self.client.get_object(**self.name(key))["Body"].read()
                    return data
                except BROKEN:  # boto3 repeats a request, but not an answer that breaks off
                    if not further:
                        raise
        raise AssertionError("unreachable")

    def local_path(self, key: str) -> Path:
        path = _cache() / self.bucket / self.name(key)["Key"]
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._asking(key):
                self.client.download_file(*self.name(key).values(), str(path))  # appears when it is whole
        return path

    def keys(self, prefix: str) -> list[str]:
        return sorted(filter(is_key, self.names(f"{check_key(prefix)}/")))

    def names(self, prefix: str = "") -> list[str]:
        """List all names that begin with a prefix, also those that no store would write."""
        pages = self.client.get_paginator("list_objects_v2")
        with self._asking():
            return [
                entry["Key"].removeprefix(self._root)
                for page in pages.paginate(Bucket=self.bucket, Prefix=f"{self._root}{prefix}")
                for entry in page.get("Contents", [])
            ]

    def drop(self, key: str) -> None:
        with self._asking():
            self.client.delete_object(**self.name(key))

    def name(self, key: str) -> dict[str, str]:
        """Return bucket and key as boto3 names them."""
        return {"Bucket": self.bucket, "Key": self._root + check_key(key)}

    def _create(self, key: str, put: Callable[[dict[str, str], str], None]) -> bool:
        """Create an object by a conditional request; return whether it is this call's."""
        name, token = self.name(key), secrets.token_hex(16)
        with self._asking(key):
            for further in reversed(range(TRIES)):
                try:
                    put(name, token)
                    return True
                except ClientError as error:
                    if code_of(error) not in EXISTS | CONFLICTS:
                        raise
                    writer = self._writer(name)
                    if writer is not None:
                        return writer == token
                    if not further:  # another writer is at it, or the name is being removed
                        raise
        raise AssertionError("unreachable")

    def _writer(self, name: dict[str, str]) -> str | None:
        """Return the token of the call that wrote an object; None where there is no object."""
        try:
            token: str = self.client.head_object(**name)["Metadata"].get(WRITER, "")
            return token
        except ClientError as error:
            if code_of(error) == "404":
                return None
            raise

    def _send_parts(self, name: dict[str, str], token: str, source: Path) -> None:
        begun = self.client.create_multipart_upload(**name, Metadata={WRITER: token}, ChecksumAlgorithm="SHA256")
        upload = name | {"UploadId": begun["UploadId"]}

        def send(number: int) -> dict[str, Any]:
            with source.open("rb") as file:
                file.seek((number - 1) * PART)
                data = file.read(PART)
            part = {"PartNumber": number, "ChecksumSHA256": _checksum(data)}
            return part | {"ETag": self.client.upload_part(**upload, **part, Body=data)["ETag"]}

        try:
            with ThreadPoolExecutor(4) as pool:
                parts = list(pool.map(send, range(1, -(-source.stat().st_size // PART) + 1)))
            self.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*")
        except BaseException:
            with suppress(Exception):  # parts left behind cost money; the bucket's lifecycle removes what is not here
                self.client.abort_multipart_upload(**upload)
            raise

    @contextmanager
    def _asking(self, key: str = "") -> Iterator[None]:
        """Turn what S3 and the network answer into FileNotFoundError, or into words that say what to do."""
        try:
            yield
        except ClientError as error:
            if code_of(error) in ("NoSuchKey", "404"):
                raise FileNotFoundError(f"{self.uri}/{key}") from error
            where = f"{self.uri} at {self.client.meta.endpoint_url}"
            raise Unavailable(refused_request(error, where)) from error
        except (BotoCoreError, Boto3Error) as error:
            raise Unavailable(failed_request(error, self.uri)) from error
        except FileNotFoundError:
            raise
        except OSError as error:
            raise Unavailable(f"{self.uri}/{key} cannot be kept in {error.filename}: {error.strerror}.") from error


@cache
def _client(patience: Patience) -> Any:
    """Return a client of this process, which its threads may share."""
    return Session().client(
        "s3",
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            retries={"mode": "standard", "total_max_attempts": patience.tries},
            connect_timeout=patience.connect_s,
            read_timeout=patience.read_s,
            max_pool_connections=READERS,
        ),
    )


@cache
def _cache() -> Path:
    """Return a private folder for what was fetched, which ends with the process."""
    folder = Path(tempfile.mkdtemp(prefix="andon-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _checksum(data: bytes) -> str:
    return b64encode(sha256(data).digest()).decode()
