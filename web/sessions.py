"""Sessions without a table: a cookie that says who and until when, sealed with a key of this machine.

So a server that was killed knows everybody when it is back. A session ends when its time is over, when its token is
revoked or replaced (the seal covers the token's hash), and when its labeler signs out: that leaves an empty file with
the session's hash in the state of this user, for as long as the session would have lasted.
"""

import contextlib
import hmac
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from data.canonical import sha256
from data.errors import Refused
from data.page.accounts import Account
from data.store.user_state import state_folder

LASTS = 12 * 3600  # seconds
KEY_BYTES = 32


class Sessions:
    """Issues, reads and ends sessions, and makes the values that belong to them."""

    def __init__(self, key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._key, self._clock, self._ended = key, clock, state_folder() / "ended-sessions"

    def issue(self, labeler: Account) -> str:
        claim = f"{labeler.name}:{int(self._clock()) + LASTS}-{secrets.token_hex(8)}"
        return f"{claim}:{self._seal('session', claim, labeler.token_sha256)}"

    def read(self, cookie: str, accounts: Mapping[str, Account]) -> Account | None:
        """Return whose session it is, if it is one and has not ended."""
        claim, _, seal = cookie.rpartition(":")
        name, _, rest = claim.partition(":")
        until = rest.partition("-")[0]
        labeler = accounts.get(name)
        if labeler is None or not until.isascii() or not until.isdigit() or not cookie.isascii():
            return None
        expected = self._seal("session", claim, labeler.token_sha256)
        valid = hmac.compare_digest(seal, expected) and int(until[:12]) > self._clock()
        return labeler if valid and not self._mark(cookie).exists() else None

    def end(self, cookie: str, accounts: Mapping[str, Account]) -> None:
        """End a session, also for a server that is started again; a cookie that is none leaves nothing behind."""
        if self.read(cookie, accounts) is None:
            return
        self._ended.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._mark(cookie).open("wb") as file:
            os.utime(file.fileno(), (self._clock(), self._clock()))
            os.fsync(file.fileno())
        _sync(self._ended)
        for mark in self._ended.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if mark.stat().st_mtime < self._clock() - LASTS:
                    mark.unlink()

    def csrf(self, cookie: str) -> str:
        """Return the value that a page of this session sends with every change."""
        return self._seal("csrf", cookie)

    def same_csrf(self, cookie: str, sent: str) -> bool:
        return sent.isascii() and hmac.compare_digest(self.csrf(cookie), sent)

    def ticket(self, labeler: str, question: str, content_sha256: str) -> str:
        """Return the value that shows, also after a restart, that a labeler was shown a question."""
        return self._seal("ticket", labeler, question, content_sha256)

    def same_ticket(self, labeler: str, question: str, content_sha256: str, sent: str) -> bool:
        return sent.isascii() and hmac.compare_digest(self.ticket(labeler, question, content_sha256), sent)

    def _mark(self, cookie: str) -> Path:
        return self._ended / sha256(cookie.encode())

    def _seal(self, *parts: str) -> str:
        return hmac.digest(self._key, "\n".join(parts).encode(), "sha256").hex()


def machine_key() -> bytes:
    """Return the key of this machine, made at the first call; only its user may read it.

    A key that is damaged, or that others could have read or made, is replaced; then everybody signs in again.
    """
    folder = state_folder()
    path = folder / "page.key"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if (key := _secret(path)) is not None:
            return key
        descriptor, name = tempfile.mkstemp(dir=folder)  # 0600
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        if os.path.lexists(path):
            os.replace(name, path)
        else:
            with contextlib.suppress(FileExistsError):  # another server was faster: its key is ours
                os.link(name, path)
            os.unlink(name)
        _sync(folder)
        key = _secret(path)
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}. Set ANDON_STATE to a folder of your own.") from error
    if key is None:
        raise Refused(f"{path} cannot be made private. Set ANDON_STATE to a folder of your own.")
    return key


def _secret(path: Path) -> bytes | None:
    """Return the key in a file, or None if it is no whole key that only this user can read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        private = stat.S_ISREG(status.st_mode) and not status.st_mode & 0o077 and status.st_uid == os.geteuid()
        key = file.read(KEY_BYTES + 1) if private else b""
    return key if len(key) == KEY_BYTES else None


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
