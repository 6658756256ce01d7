"""A labeler in front of the page, without a browser and without a socket."""

import json
import threading
from typing import Any

from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from data.batches.index import read_batch
from data.store import LocalStore
from web.app import Page, application
from web.desk import Desk
from web.desks import Desks
from web.serve import bound_socket, server_of

ORIGIN = "http://127.0.0.1"


class Visitor:
    """One browser's worth of cookies and headers."""

    def __init__(self, page: Page, token: str) -> None:
        self.client = TestClient(application(page), base_url=ORIGIN, raise_server_exceptions=False)
        self.signed_in = self.client.post("/session", json={"token": token}, headers={"origin": ORIGIN})
        self.csrf = page.sessions.csrf(self.client.cookies.get("andon") or "")

    def post(self, path: str, body: dict[str, Any], **headers: str) -> Any:
        sent_with = {"origin": ORIGIN, "x-csrf": self.csrf, "content-type": "application/json"} | headers
        return self.client.post(path, content=json.dumps(body), headers=sent_with)

    def question(self) -> Any:
        return self.client.get("/question").json()["question"]

    def asked(self) -> dict[str, Any]:
        """Return the beginning of an answer to the question that this labeler has."""
        question = self.question()
        return {"question_id": question["question_id"], "ticket": question["ticket"], "version": 1}


def opened(store: LocalStore, name: str = "b1", desks: Desks | None = None) -> Page:
    """A server's life: whatever it knows, it reads from the store."""
    batch = read_batch(store, "sentiment", name)
    assert batch is not None
    return Page(store, desks or Desks(Desk(store, "sentiment", batch)), b"k" * 32, None)


class Site:
    """A server in a thread, for a browser: it serves one page after the other at one address."""

    def __init__(self) -> None:
        self.page: Page | None = None
        bound, listening = bound_socket("127.0.0.1", 0), threading.Event()
        self.url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        self.server = server_of(self, listening.set)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [bound]})
        self.thread.start()
        assert listening.wait(300)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.page is not None
        await application(self.page)(scope, receive, send)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join()
