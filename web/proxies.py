"""Who a request comes from and under which name it was sent, if proxies stand between the page and its visitors.

A proxy writes the address of its client at the end of X-Forwarded-For. Anybody can send that header, so only addresses
that are named as proxies are believed, and only up to the first hop that is none of them.
"""

import ipaddress
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import urlsplit

import idna
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from data.errors import Refused
from data.escape import visible

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LARGEST_IPV6_CLIENT = 64  # bits of the network that a provider gives to one client, who may use all its addresses
QUIET_S = 60.0  # at most one line of a kind in this time
EXAMPLE = "https://label.example.org"


def trusted_networks(values: Iterable[str]) -> tuple[Network, ...]:
    """Parse addresses and networks of proxies, each value a list separated by commas; raise Refused if one is wrong."""
    networks: list[Network] = []
    for text in (part.strip() for value in values for part in value.split(",")):
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError as error:
            raise Refused(
                f"--trust-proxy {_one_line(text)}: {_one_line(str(error))}. Give an address such as 127.0.0.1, or a "
                "network such as 172.18.0.0/16."
            ) from None
        if networks[-1].prefixlen == 0:
            raise Refused(f"--trust-proxy {text} would believe everybody. Name the address of the proxy.")
    return tuple(networks)


def client_of(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """Return the address that a request is counted for.

    `peer` is the other end of the connection, `forwarded` the lines of X-Forwarded-For from the first to the last. The
    result is the nearest address that is not a trusted proxy. If a hop is no address, it is the proxy that wrote it.
    """
    client = _address(peer)
    if client is None:
        return peer
    hops = [hop for line in forwarded for hop in line.split(",")]
    while hops and _is_in(client, trusted):
        hop = _address(hops.pop())
        if hop is None:
            break
        client = hop
    if isinstance(client, ipaddress.IPv6Address) and not client.is_loopback:
        return str(ipaddress.ip_network((int(client), LARGEST_IPV6_CLIENT), strict=False))
    return str(client)


def public_origin(text: str) -> str:
    """Return the https:// address of the page as browsers write it; raise Refused for anything else."""
    try:
        if any(character.isspace() or not character.isprintable() for character in text):
            raise ValueError("it contains a space or an invisible character")
        parts = urlsplit(text)
        if parts.scheme != "https":
            raise ValueError("it does not start with https://")
        if "@" in parts.netloc:
            raise ValueError("it contains a user name")
        if parts.path not in ("", "/") or any(mark in text for mark in "?#\\"):
            raise ValueError("it contains more than a name and a port")
        host, port = _host(parts.hostname or ""), parts.port
        if port == 0:
            raise ValueError("its port is 0")
    except ValueError as error:  # also of urlsplit, and idna.IDNAError
        raise Refused(
            f"--public {_one_line(text)}: {_one_line(str(error))}. Give the address that labelers open, such as "
            f"{EXAMPLE}."
        ) from None
    return f"https://{host}" if port in (None, 443) else f"https://{host}:{port}"


class Visitors:
    """Tells the application who its clients are, and the operator what a proxy does wrong."""

    def __init__(
        self,
        app: ASGIApp,
        public: str | None,
        trusted: Sequence[Network],
        say: Callable[[str], object] = lambda line: sys.stderr.write(f"andon: {line}\n"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app, self._public, self._trusted, self._say, self._clock = app, public, trusted, say, clock
        self._quiet_until: dict[str, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        peer, port = scope.get("client") or ("", 0)
        forwarded = headers.getlist("x-forwarded-for")
        known = (address := _address(peer)) is not None and _is_in(address, self._trusted)
        if forwarded and not known and self._public is not None:
            self._warn(
                "proxy",
                f"X-Forwarded-For from {visible(peer)} is not believed, so all its visitors are counted as one. If "
                f"this is your proxy, start the page with --trust-proxy {visible(peer)}.",
            )

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 421:
                asked = _one_line(headers.get("host", "")[:100])
                expected = self._public or "127.0.0.1 or localhost; name a proxy's address with --public"
                self._warn(
                    "name",
                    f"refused a request to the name {asked!r}, because the page answers to {expected}. If a proxy "
                    "sent it, let the proxy pass the Host header on (docs/deploy.md has examples).",
                )
            await send(message)

        await self._app({**scope, "client": (client_of(peer, forwarded, self._trusted), port)}, receive, watched)

    def _warn(self, kind: str, line: str) -> None:
        now = self._clock()
        if now >= self._quiet_until.get(kind, now):
            self._quiet_until[kind] = now + QUIET_S
            self._say(line)


def _one_line(text: str) -> str:
    return " ".join(visible(text).split())


def _address(text: str) -> Address | None:
    """Parse an address as proxies write it: also `1.2.3.4:56`, `[2001:db8::1]:56` and IPv4 inside IPv6."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _host(name: str) -> str:
    name = name.removesuffix(".").lower()
    if ":" in name:
        return f"[{ipaddress.IPv6Address(name)}]"
    if not name.isascii():
        return idna.encode(name, uts46=True).decode()
    labels = name.split(".")
    if len(name) > 253 or not all(
        0 < len(label) <= 63 and label.replace("-", "").replace("_", "").isalnum() for label in labels
    ):
        raise ValueError("its name is not the name of one host")
    return name
