"""Random requests to every route of the labeling page: no error of the server, and nothing that the store cannot read.

Half of the requests are made of the right parts, with some of them wrong: values of other types in a form, a session of
somebody else, an origin, a header. The other half are bytes on a socket: sound requests that are cut, repeated, mixed
and damaged. Every few hundred requests the store is read as a new server and the collection read it.

    python -m tests.reliability.fuzz_page SECONDS SEED
"""

import json
import logging
import random
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from data.answers import KINDS
from data.batches.index import Batch
from data.campaign.settings import Ask
from data.cord import cord
from data.page.accounts import accounts, add
from data.page.answers import collect, saved
from data.paths import page_prefix
from data.store import LocalStore
from data.store.integrity import verify
from tests.support.labeling import prepared, simple
from web.app import Page, application
from web.desk import Desk
from web.desks import Desks
from web.limits import Limit
from web.serve import server_of

ANSWERS: dict[str, dict[str, Any]] = {
    "best": {"choice": 0},
    "ranking": {"given": {"place": [1, 2, 2, 3]}},
    "ratings": {"given": {"accuracy": [1, 2, 3, 4], "coherence": [7, 7, 1, 1]}},
}
CAMPAIGN, BATCH, QUESTIONS = "sentiment", "b1", 40
ORIGIN = "http://127.0.0.1"
LOOKED_AT_EVERY = 400  # requests between two readings of the store
ALLOWED = {200, 206, 303, 307, 400, 401, 403, 404, 405, 408, 409, 411, 413, 414, 415, 416, 421, 422, 429, 431, 503}
ROLES = (["label"], ["label", "pull"], ["label", "pull", "release"], ["release"])
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 3, 7, 10, 2**63, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", " "),
    *("0", "tie", "skip", "x", "\x00", "\ud800", "\u202e", "\u200b", "../../etc/passwd", "a" * 3_000, "a" * 70_000),
    *([], {}, [[]], [0, 1, 2, 3], [0, 0, 0, 0], [[0], [1, 2], [3]], {"accuracy": [1, 2, 3, 4]}, [None], {"": {}}),
)
FORMS: dict[str, dict[str, Any]] = {
    "/session": {"token": "TOKEN"},
    "/sign-out": {},
    "/answer": {
        **{"question_id": "QUESTION", "ticket": "TICKET", "version": 1, "seconds": 3.5, "confidence": 0.5},
        **{"note": "a note", "critique": "it is long", "correction": "so it is", "flags": ["broken_question"]},
    },
    "/pull": {"scope": "everything", "reason": "it praises murder"},
    "/release": {"pull": "PULL", "reason": "it does not"},
}
HEADERS = ("host", "origin", "x-csrf", "content-type", "cookie", "sec-fetch-site", "x-forwarded-for", "range", "expect")
VALUES = (
    *("", " ", "[", "[::1", "evil.example", "127.0.0.1:99999999", "null", "text/plain", "application/json; charset=x"),
    *("cross-site", "andon=", "andon=x.y.z", "andon=" + "a" * 5_000, "bytes=0-", "\u00e9", "100-continue", "1, 2, 3"),
)


class Trial(NamedTuple):
    """What came of some requests."""

    faults: list[str]
    answers: int  # that were stored


class World:
    """A store with a batch, the application on it, and some labelers."""

    def __init__(self, folder: Path, ask: Ask) -> None:
        self.store = LocalStore(folder / "store")
        self.batch: Batch = prepared(self.store, simple(QUESTIONS), ask=ask)
        self.tokens = {f"labeler-{n}": add(self.store, f"labeler-{n}", ROLES[n % len(ROLES)]) for n in range(8)}
        self.page = Page(self.store, Desks(Desk(self.store, CAMPAIGN, self.batch)), b"k" * 32, None)
        self.answer = ANSWERS[ask.kind]
        self.app = application(self.page)

    def faults(self, scratch: Path) -> list[str]:
        """Read everything that the page wrote, as those do who read it later."""
        try:
            Desk(self.store, CAMPAIGN, self.batch)
            saved(self.store, CAMPAIGN, BATCH)
            collect(self.store, CAMPAIGN, BATCH, scratch)
            accounts(self.store)
            for pull in cord.open_pulls(self.store):
                cord.release(self.store, pull.pull, by="the fuzzer", reason="next")
            return [f"damaged: {key}" for key in verify(self.store).damaged]
        except Exception:
            return [traceback.format_exc()]


def routes(app: Any) -> list[tuple[str, str]]:
    """Return the method and the path of every route."""
    while not isinstance(app, Starlette):
        app = app.app
    found = []
    for route in app.routes:
        if isinstance(route, Route):
            found += [(method, route.path) for method in sorted(route.methods or {"GET"}) if method != "HEAD"]
        elif isinstance(route, Mount):
            found += [("GET", f"{route.path}/{name}") for name in ("page.css", "../app.py", "", "%2e%2e/app.py")]
    return found


def form(draw: random.Random, world: World, path: str, question: dict[str, Any] | None = None) -> bytes:
    """Return the body of a POST: a sound one in a third of the cases. `question` is what the labeler was handed."""
    body = dict(FORMS.get(path, {"a": 1})) | (world.answer if path == "/answer" else {})
    pulls = cord.open_pulls(world.store) if "PULL" in body.values() else []
    names = {
        "TOKEN": draw.choice([*world.tokens.values(), "x"]),
        "QUESTION": question["question_id"] if question else draw.choice(list(world.page.desks.last.questions)),
        "TICKET": question["ticket"] if question else "x",
        "PULL": pulls[0].pull if pulls else "pull-x",
    }
    body = {key: names.get(value, value) if isinstance(value, str) else value for key, value in body.items()}
    for _ in range(draw.choice([0, 1, 1, 2])):
        if draw.random() < 0.2:
            body.pop(draw.choice([*body, "x"]), None)
        else:
            body[draw.choice([*body, "x", ""])] = draw.choice(ODD)
    kind = draw.random()
    if kind < 0.05:
        return draw.choice([b"", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 30_000, b'{"a":' * 9_000, b"1" * 5_000])
    return json.dumps(draw.choice([body, [body], str(body)]) if kind < 0.08 else body).encode()


def send(draw: random.Random, world: World, client: TestClient, signed_in: str) -> tuple[str, int]:
    """Make one request; return it, and its status."""
    method, path = draw.choice(routes(world.app)) if draw.random() < 0.7 else ("POST", "/answer")
    headers = {"origin": ORIGIN, "content-type": "application/json"}
    headers["x-csrf"] = world.page.sessions.csrf(client.cookies.get("andon") or "")
    for _ in range(draw.choice([0, 0, 0, 1, 2])):
        headers[draw.choice(HEADERS)] = draw.choice(VALUES)
    if draw.random() < 0.05:
        method = draw.choice(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE", "X"])
    if draw.random() < 0.05:
        path += draw.choice(["/", "?a=%ff", "//", "/..", "%00", "?" + "a" * 5_000])
    path = path.replace("{question}", draw.choice(list(world.page.desks.last.questions)))
    question = client.get("/question").json().get("question") if path == "/answer" and draw.random() < 0.7 else None
    body = form(draw, world, path, question) if method == "POST" else b""
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = client.request(method, path, content=body, headers=encoded, follow_redirects=False)
    return f"{signed_in}: {method} {path} {headers} {body[:300]!r}", answer.status_code


def forms(draw: random.Random, world: World, count: int) -> list[str]:
    """Make requests of parts; return those that failed."""
    faults = []
    for _ in range(max(1, count // 20)):
        name = draw.choice(list(world.tokens))
        client = TestClient(world.app, base_url=ORIGIN)
        if draw.random() < 0.9:
            client.post("/session", json={"token": world.tokens[name]}, headers={"origin": ORIGIN})
        for _ in range(20):
            try:
                request, status = send(draw, world, client, name)
            except Exception:
                faults.append(traceback.format_exc())
                continue
            if status not in ALLOWED:
                faults.append(f"{status}: {request}")
    return faults


@contextmanager
def listening(world: World) -> Iterator[tuple[int, list[str]]]:
    """Serve the application on a port of this machine; collect what it logs as an error."""
    errors: list[str] = []
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        listens = threading.Event()
        server = server_of(world.app, listens.set)
        with patch("logging.Logger.error", lambda self, message, *rest, **more: errors.append(f"{message} {more}")):
            thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
            thread.start()
            assert listens.wait(300)
            try:
                yield bound.getsockname()[1], errors
            finally:
                server.should_exit = True
                thread.join()


def raw(draw: random.Random, world: World, port: int) -> bytes:
    """Return the bytes of a request that is more or less one."""
    method, path = draw.choice(routes(world.app))
    body = form(draw, world, path)
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Origin: http://127.0.0.1:{port}"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    for _ in range(draw.choice([0, 1, 2])):
        lines.append(f"{draw.choice(HEADERS)}: {draw.choice(VALUES)}")
    if draw.random() < 0.2:
        lines.append(draw.choice(["Transfer-Encoding: chunked", "Content-Length: 5", "Upgrade: websocket", ": x", "x"]))
    data = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    for _ in range(draw.choice([0, 0, 1, 2, 5])):
        at = draw.randrange(len(data) + 1)
        change = draw.choice(["cut", "flip", "insert", "repeat"])
        if change == "cut":
            data = data[:at]
        elif change == "flip" and at < len(data):
            data = data[:at] + draw.randbytes(1) + data[at + 1 :]
        elif change == "insert":
            data = data[:at] + draw.choice([b"\r\n", b"\x00", b"\n", b" ", b":", draw.randbytes(9)]) + data[at:]
        elif change == "repeat":
            data = data[:at] + data
    return data


def sockets(draw: random.Random, world: World, count: int) -> list[str]:
    """Send bytes; return which of them the server failed on."""
    faults = []
    with listening(world) as (port, errors):
        for _ in range(count):
            data, answer = raw(draw, world, port), b""
            with socket.create_connection(("127.0.0.1", port), timeout=30) as client, suppress(ConnectionError):
                client.sendall(data)
                with suppress(OSError):  # the server has closed the connection
                    client.shutdown(socket.SHUT_WR)
                while part := client.recv(65_536):
                    answer += part
            if b"HTTP/1.1 500" in answer or errors:
                faults.append(f"{data[:600]!r}\n  {answer[:200]!r}\n  {' '.join(errors)}")
                errors.clear()
    return faults


def trial(seed: str, count: int) -> Trial:
    """Make `count` requests to a page of one kind of question, and read its store."""
    draw = random.Random(seed)
    kind = draw.choice(KINDS).name
    ask = Ask.model_validate({"kind": kind} | ({"axes": ["accuracy", "coherence"]} if kind == "ratings" else {}))
    with tempfile.TemporaryDirectory() as folder, patch.object(Limit, "wait", lambda *_, **__: 0):
        world = World(Path(folder), ask)
        assert {path for method, path in routes(world.app) if method == "POST"} <= FORMS.keys(), "a route has no form"
        faults = forms(draw, world, count) + sockets(draw, world, count // 4)
        faults += world.faults(Path(folder))
        return Trial([f"{seed}: {fault}" for fault in faults], len(world.store.keys(page_prefix(CAMPAIGN, BATCH))))


def main(seconds: float, seed: int) -> int:
    """Try until the time is over; return 1 if anything failed."""
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # that a request is none is no news here
    trials: list[Trial] = []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        trials.append(trial(f"{seed} {len(trials)}", LOOKED_AT_EVERY))
        print(*trials[-1].faults, sep="\n", end="", flush=True)
    requests = len(trials) * (LOOKED_AT_EVERY + LOOKED_AT_EVERY // 4)
    faults = sum(len(each.faults) for each in trials)
    print(f"{requests:,} requests, {sum(each.answers for each in trials):,} answers stored, {faults} faults")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2])))
