"""Connections that send nothing, or too slowly, end; and they never keep others out.

Uvicorn closes a connection that is idle after an answer. It waits for ever for the first request, for the rest of one,
and for a client that does not read. Here every wait for a client has an end. If there are too many connections, the one
that the server has waited for longest makes room for a new one.
"""

import asyncio
import resource
import time
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE_S = 20.0  # for a whole request to arrive, and for an answer to be read
MOST_CONNECTIONS = 500
RESERVED_FILES = 100  # descriptors for the store and its clients
STOP_S = 10  # for requests that are being answered when the page stops


class Connection(H11Protocol):
    """One connection, which knows since when the server waits for its client."""

    waiting_since: float | None = None  # None while the application works on a request

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.waiting_since = time.monotonic()
        make_room(self.connections, self, most_connections())  # type: ignore[arg-type]

    def handle_events(self) -> None:
        super().handle_events()
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            if self.waiting_since is None:
                self.waiting_since = time.monotonic()
        elif self.cycle is not None and not self.cycle.response_complete:
            self.waiting_since = None

    def data_received(self, data: bytes) -> None:
        if self.timeout_keep_alive_task is not None:  # the next request begins
            self.waiting_since = time.monotonic()
        super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """Answer a request whose body breaks the protocol; the application may still be reading it, or answering."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # nothing that the application sends can be an answer now
            self.cycle.message_event.set()
            if self.cycle.response_started:
                return self.end()
        super().send_400_response(msg)

    def on_response_complete(self) -> None:
        self.waiting_since = time.monotonic()  # for the answer to be read, and then for the next request
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.waiting_since = time.monotonic()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.cycle is not None and not self.cycle.response_complete:
            self.waiting_since = None

    def shutdown(self) -> None:
        if self.waiting_since is None:
            super().shutdown()
        else:  # nobody waits for an answer
            self.end()

    def end(self) -> None:
        """Close now, without waiting for the client to read what is left."""
        self.connections.discard(self)
        self.transport.abort()


class Server(uvicorn.Server):
    """Uvicorn's server, which tells when it listens and ends connections that take too long."""

    def __init__(self, config: uvicorn.Config, listening: Any) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets=sockets)
        self._listening()

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:  # once a second
            end_waiting(self.server_state.connections, time.monotonic() - PATIENCE_S)
        return await super().on_tick(counter)


def most_connections() -> int:
    """Return how many connections may be open, which is fewer than the files that this process may open."""
    return max(10, min(MOST_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVED_FILES))


def make_room(connections: set[Connection], newest: Connection, most: int) -> None:
    """If there are too many connections, end the one that has waited longest, or the newest if all are at work."""
    if len(connections) > most:
        waiting = [each for each in connections if each is not newest and each.waiting_since is not None]
        min(waiting, key=lambda each: each.waiting_since or 0.0, default=newest).end()


def end_waiting(connections: Any, since: float) -> None:
    """End the connections that the server has waited for since before a time."""
    for each in list(connections):
        if isinstance(each, Connection) and each.waiting_since is not None and each.waiting_since < since:
            each.end()
