"""Serve the page: on loopback, or behind a proxy that speaks TLS and is named."""

import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import uvicorn

from data.errors import Refused
from data.store import Store
from web.app import Page, application
from web.desks import Desks
from web.guard import LOOPBACK
from web.sessions import machine_key


def check_address(listen: str, public: str | None) -> None:
    """Raise Refused for an address that others reach, unless it is said under which https:// name they do."""
    if public is not None:
        named = urlsplit(public)
        if named.scheme != "https" or not named.netloc or public != f"https://{named.netloc}":
            raise Refused(f"--public {public} is not like https://label.example.org: the address labelers open.")
    elif listen not in LOOPBACK:
        raise Refused(
            f"--listen {listen} can be reached from other machines, and this page speaks no TLS of its own: put it "
            "behind a proxy that does, and name it with --public https://label.example.org."
        )


def serve(
    store: Store,
    desks: Desks,
    *,
    listen: str = "127.0.0.1",
    port: int = 0,
    public: str | None = None,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve the page until interrupted; `ready` is called with the address."""
    check_address(listen, public)
    page = Page(store, desks, machine_key(), public)
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    with socket.socket(family) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((listen, port))
        except OSError as error:
            raise Refused(f"Cannot listen on {listen} port {port}: {error.strerror}. Name another --port.") from error
        host = f"[{listen}]" if ":" in listen else listen
        config = uvicorn.Config(
            application(page),
            access_log=False,
            log_level="warning",
            server_header=False,
            proxy_headers=public is not None,  # then the address of a client is what the proxy on this machine says
            forwarded_allow_ips="127.0.0.1",
            limit_concurrency=1_000,
            timeout_keep_alive=30,
        )
        ready(public or f"http://{host}:{bound.getsockname()[1]}")
        uvicorn.Server(config).run(sockets=[bound])
