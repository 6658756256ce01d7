"""Serve the page: on loopback, or behind a proxy that speaks TLS and is named."""

import socket
from collections.abc import Callable, Iterable
from typing import NamedTuple

import uvicorn
from starlette.types import ASGIApp

from data.errors import Refused
from data.store import Store
from web.app import Page, application
from web.connections import PATIENCE_S, STOP_S, Connection, Server
from web.desks import Desks
from web.guard import LOOPBACK
from web.proxies import EXAMPLE, Network, Visitors, public_origin, trusted_networks
from web.sessions import machine_key


class Address(NamedTuple):
    """Where the page listens, and how its visitors reach it."""

    listen: str
    port: int  # 0 is any free port
    public: str | None  # the https:// address of a proxy, as browsers write it
    proxies: tuple[Network, ...]  # whose X-Forwarded-For is believed


def check_address(listen: str, port: int = 0, public: str | None = None, proxies: Iterable[str] = ()) -> Address:
    """Return an address; raise Refused if others can reach it and `public` does not say by which https:// name."""
    if public is None and listen not in LOOPBACK:
        raise Refused(
            f"--listen {listen} can be reached from other machines, and this page speaks no TLS of its own: put it "
            f"behind a proxy that does, and name it with --public {EXAMPLE}."
        )
    return Address(listen, port, None if public is None else public_origin(public), trusted_networks(proxies))


def serve(
    store: Store,
    desks: Desks,
    address: Address,
    *,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve the page until interrupted; `ready` is called with the address when connections are accepted."""
    page = Page(store, desks, machine_key(), address.public)
    with bound_socket(address.listen, address.port) as bound:
        host = f"[{address.listen}]" if ":" in address.listen else address.listen
        url = address.public or f"http://{host}:{bound.getsockname()[1]}"
        app = Visitors(application(page), address.public, address.proxies)
        server_of(app, lambda: ready(url)).run(sockets=[bound])


def bound_socket(listen: str, port: int) -> socket.socket:
    """Bind a socket; raise Refused if the address or the port cannot be had."""
    bound = socket.socket(socket.AF_INET6 if ":" in listen else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((listen, port))
    except OSError as error:
        bound.close()
        raise Refused(f"Cannot listen on {listen} port {port}: {error.strerror}. Name another --port.") from error
    return bound


def server_of(app: ASGIApp, listening: Callable[[], None]) -> Server:
    """Configure a server that idle and slow clients cannot block; `listening` is called when it accepts connections."""
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="error",  # what a stranger sends is not worth a line each
        server_header=False,
        proxy_headers=False,  # Visitors reads them
        timeout_keep_alive=int(PATIENCE_S),
        timeout_graceful_shutdown=STOP_S,
    )
    return Server(config, listening)
