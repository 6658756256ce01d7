"""Clients that send nothing, half of something, or read nothing: they end, and nobody else waits for them."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from web import connections
from web.connections import Server, most_connections
from web.serve import bound_socket, server_of

WHOLE = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"
HALF_SENT = {
    "nothing": b"",
    "half of its headers": b"GET / HTTP/1.1\r\nHost: x\r\n",
    "half of its body": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
    "no second request": WHOLE % b"",
    "half of a second request": WHOLE % b"" + b"GET / HT",
    "nonsense": b"\x16\x03\x01\x02\x00\x01",
}
LONG_S = 120.0  # a busy machine is slow, not wrong


class Site:
    """An application that waits for a body, answers at length, or waits until a test lets it go on."""

    def __init__(self) -> None:
        self.at_work, self.may_answer = threading.Event(), threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        import anyio

        answer = "here"
        if scope["path"] == "/work":
            self.at_work.set()
            await anyio.to_thread.run_sync(self.may_answer.wait)
        elif scope["path"] == "/long":
            answer = "x" * (64 << 20)
        while scope["method"] == "POST" and (await receive()).get("more_body"):
            continue
        await PlainTextResponse(answer)(scope, receive, send)


class Running:
    def __init__(self, site: Site) -> None:
        self.socket, listens = bound_socket("127.0.0.1", 0), threading.Event()
        self.address = self.socket.getsockname()
        self.server: Server = server_of(site, listens.set)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]})
        self.thread.start()
        assert listens.wait(LONG_S)

    def send(self, data: bytes) -> socket.socket:
        client = socket.create_connection(self.address, LONG_S)
        client.sendall(data)
        return client

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(LONG_S)
        assert not self.thread.is_alive()


@contextmanager
def serving(site: Site) -> Iterator[Running]:
    running = Running(site)
    try:
        yield running
    finally:
        site.may_answer.set()
        running.stop()


def ended(client: socket.socket) -> bool:
    """Read to the end of a connection, which raises TimeoutError if it does not end."""
    try:
        while client.recv(1 << 16):
            continue
    except ConnectionResetError:
        pass
    client.close()
    return True


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    return lambda seconds: monkeypatch.setattr(connections, "PATIENCE_S", seconds)


def test_connections_that_send_too_little_end_and_one_at_work_goes_on(impatient: Callable[[float], None]) -> None:
    impatient(0.1)
    site = Site()
    with serving(site) as running:
        worker = running.send(WHOLE % b"work")
        assert site.at_work.wait(LONG_S)
        half_sent = [running.send(data) for data in HALF_SENT.values()]
        assert all(ended(client) for client in half_sent)
        site.may_answer.set()
        assert worker.recv(12) == b"HTTP/1.1 200"
        worker.close()


def test_a_client_that_drips_is_not_given_more_time(impatient: Callable[[float], None]) -> None:
    impatient(0.1)
    with serving(Site()) as running:
        client = running.send(HALF_SENT["half of its body"])
        client.settimeout(0.05)
        for _ in range(990):  # the body would be complete after 999
            client.sendall(b" ")
            with suppress(TimeoutError):
                assert client.recv(1) == b""
                break
        else:
            pytest.fail("the connection is still open")
        client.close()


def test_a_client_that_does_not_read_ends(impatient: Callable[[float], None]) -> None:
    with serving(Site()) as running:
        client = running.send(WHOLE % b"long")
        assert client.recv(1) == b"H", "the answer is on its way"
        impatient(0.1)
        while running.server.server_state.connections:
            time.sleep(0.01)
        client.close()


def test_a_body_that_breaks_the_protocol_is_the_clients_mistake_and_no_error_of_the_page(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = b" /%s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    site = Site()
    with serving(site) as running:
        logging.getLogger("uvicorn.error").addHandler(caplog.handler)  # which the server has configured anew
        at_once = running.send(b"GET" + broken % b"" + b"no length\r\n")  # it is answered before its body is read
        reading = running.send(b"POST" + broken % b"")
        answering = running.send(b"GET" + broken % b"work")
        assert site.at_work.wait(LONG_S)
        for client in (reading, answering):
            client.sendall(b"no length\r\n")
        for client in (at_once, reading, answering):
            assert client.recv(12) == b"HTTP/1.1 400"
        site.may_answer.set()
        assert all(ended(client) for client in (at_once, reading, answering))
    logging.getLogger("uvicorn.error").removeHandler(caplog.handler)
    assert not [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def test_idle_connections_do_not_keep_a_visitor_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 10)
    assert most_connections() == 10
    with serving(Site()) as running:
        idle = [running.send(data) for _ in range(5) for data in HALF_SENT.values()]
        visitor = running.send(WHOLE % b"")
        assert visitor.recv(12) == b"HTTP/1.1 200"
        assert len(running.server.server_state.connections) <= 10
        for client in (visitor, *idle):
            client.close()


def test_stopping_does_not_wait_for_what_was_half_sent_and_answers_what_was_sent() -> None:
    site = Site()
    running = Running(site)
    clients = [running.send(data) for data in HALF_SENT.values()]
    worker = running.send(WHOLE % b"work")
    assert site.at_work.wait(LONG_S)
    running.server.should_exit = True
    assert all(ended(client) for client in clients), "although the one at work still runs"
    site.may_answer.set()
    assert worker.recv(12) == b"HTTP/1.1 200"
    worker.close()
    running.stop()
