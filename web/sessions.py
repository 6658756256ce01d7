"""Sessions without a table: a cookie that says who and until when, sealed with a key of this machine.

So a server that was killed knows everybody when it is back. A session ends when its time is over, and when its token is
revoked or replaced, for the seal covers the token's hash.
"""

import contextlib
import hmac
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Mapping

from data.page.accounts import Account
from data.store.user_state import state_folder

LASTS = 12 * 3600  # seconds


class Sessions:
    """Issues and reads the session cookie, and the anti-forgery value that belongs to it."""

    def __init__(self, key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._key, self._clock = key, clock

    def issue(self, labeler: Account) -> str:
        said = f"{labeler.name}:{int(self._clock()) + LASTS}"
        return f"{said}:{self._seal('session', said, labeler.token_sha256)}"

    def read(self, cookie: str, listed: Mapping[str, Account]) -> Account | None:
        """Return whose session it is, if it is one and still holds."""
        name, _, rest = cookie.partition(":")
        until, _, seal = rest.partition(":")
        labeler = listed.get(name)
        if labeler is None or not until.isascii() or not until.isdigit() or not seal.isascii():
            return None
        expected = self._seal("session", f"{name}:{until}", labeler.token_sha256)
        return labeler if hmac.compare_digest(seal, expected) and int(until[:12]) > self._clock() else None

    def csrf(self, cookie: str) -> str:
        """Return the value that a page of this session sends with every change."""
        return self._seal("csrf", cookie)

    def same_csrf(self, cookie: str, sent: str) -> bool:
        return sent.isascii() and hmac.compare_digest(self.csrf(cookie), sent)

    def _seal(self, *parts: str) -> str:
        return hmac.digest(self._key, "\n".join(parts).encode(), "sha256").hex()


def machine_key() -> bytes:
    """Return the key of this machine, made at the first call; only its user may read it."""
    folder = state_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "page.key"
    if not path.is_file():
        descriptor, name = tempfile.mkstemp(dir=folder)  # 0600
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
        with contextlib.suppress(FileExistsError):  # another server was faster: its key is ours
            os.link(name, path)
        os.unlink(name)
    return path.read_bytes()
