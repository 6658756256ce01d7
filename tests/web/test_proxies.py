"""A client behind a named proxy is counted as itself; what anybody else says about itself is not believed."""

import asyncio
from typing import Any

import pytest
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from data.errors import Refused
from web.proxies import Visitors, client_of, public_origin, trusted_networks

PROXIES = trusted_networks(["127.0.0.1, 10.1.0.0/16", "2001:db8:1::/64"])


@pytest.mark.parametrize(
    "peer, forwarded, client",
    [
        ("192.0.2.7", [], "192.0.2.7"),
        ("192.0.2.7", ["198.51.100.1"], "192.0.2.7"),  # no proxy of ours
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),  # the client wrote the first address
        ("127.0.0.1", ["6.6.6.6", "198.51.100.1"], "198.51.100.1"),  # a proxy that adds a line of its own
        ("127.0.0.1", ["6.6.6.6, 198.51.100.1, 10.1.2.3"], "198.51.100.1"),  # two proxies, one behind the other
        ("127.0.0.1", ["10.1.2.3, 10.1.2.4"], "10.1.2.3"),  # a client on the proxies' own network
        ("127.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("127.0.0.1", ['"[2001:db8:9::1]:443"'], "2001:db8:9::/64"),
        ("127.0.0.1", ["2001:db8:9:0:1::1"], "2001:db8:9::/64"),  # one client has a whole network
        ("127.0.0.1", ["2001:db8:9::ffff"], "2001:db8:9::/64"),
        ("::ffff:127.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("2001:db8:1::5", ["198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["198.51.100.1, unknown"], "127.0.0.1"),  # nothing left of nonsense is believed
        ("127.0.0.1", ["198.51.100.1, "], "127.0.0.1"),
        ("127.0.0.1", ["198.51.100.1, 1.2.3.4.5, 10.1.2.3"], "10.1.2.3"),
        ("127.0.0.1", [", " * 20_000 + "198.51.100.1"], "198.51.100.1"),
        ("testclient", ["198.51.100.1"], "testclient"),
    ],
)
def test_a_client_is_the_nearest_address_that_is_no_proxy_of_ours(peer: str, forwarded: list[str], client: str) -> None:
    assert client_of(peer, forwarded, PROXIES) == client
    assert client_of(peer, forwarded, ()) == client_of(peer, [], ()), "nobody is believed unless named"


@pytest.mark.parametrize("text", ["", "proxy", "10.1.2.3/16", "127.0.0.1,", "0.0.0.0/0", "::/0", "1.2.3.4:80", "*"])
def test_a_proxy_is_an_address_or_a_network_and_not_everybody(text: str) -> None:
    with pytest.raises(Refused, match="--trust-proxy"):
        trusted_networks([text])


@pytest.mark.parametrize(
    "text, origin",
    [
        ("https://label.example.org", "https://label.example.org"),
        ("https://Label.Example.ORG", "https://label.example.org"),
        ("HTTPS://label.example.org/", "https://label.example.org"),
        ("https://label.example.org:443", "https://label.example.org"),
        ("https://label.example.org:0443/", "https://label.example.org"),
        ("https://label.example.org.", "https://label.example.org"),
        ("https://label.example.org:8443", "https://label.example.org:8443"),
        ("https://münchen.example", "https://xn--mnchen-3ya.example"),
        ("https://MÜNCHEN.example:443", "https://xn--mnchen-3ya.example"),
        ("https://straße.example", "https://xn--strae-oqa.example"),
        ("https://[2001:DB8:0::1]:8443", "https://[2001:db8::1]:8443"),
        ("https://192.0.2.1", "https://192.0.2.1"),
        ("https://my_page", "https://my_page"),
    ],
)
def test_the_public_address_is_written_as_browsers_write_it(text: str, origin: str) -> None:
    assert public_origin(text) == origin == public_origin(origin)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "label.example.org",
        "http://label.example.org",
        "https://",
        "https:///",
        "https://.",
        "https://*",
        "https://*.example.org",
        "https://a..example.org",
        "https://user:pw@label.example.org",
        "https://label.example.org/page",
        "https://label.example.org/?",
        "https://label.example.org#token",
        "https://label.example.org ",
        " https://label.example.org",
        "https://label.exam ple.org",
        "https://label.example.org\n",
        "https://label.example.org\u200b",
        "https://label.example.org:0",
        "https://label.example.org:99999",
        "https://label.example.org:http",
        "https://[::1",
        "https://[::g]",
        "https://label.example.org\\",
        "https://" + "a" * 64 + ".example",
        "https://" + "\ud800" + ".example",
    ],
)
def test_a_public_address_that_no_browser_opens_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="--public .* Give the address that labelers open, such as https://"):
        public_origin(text)


class Asked:
    """Requests to an application that answers with its client, or refuses a name."""

    def __init__(self, public: str | None, *trusted: str) -> None:
        self.now, self.lines, self.clients = 0.0, list[str](), list[str]()
        self.app = Visitors(self.site, public, trusted_networks(trusted), self.lines.append, lambda: self.now)

    async def site(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.clients.append(scope["client"][0])
        await JSONResponse({}, 421 if b"evil" in dict(scope["headers"])[b"host"] else 200)(scope, receive, send)

    def __call__(self, peer: str, **headers: str) -> None:
        lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope: dict[str, Any] = {"type": "http", "client": (peer, 1), "headers": lines, "method": "GET"}

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            pass

        asyncio.run(self.app(scope, receive, send))


def test_a_refused_name_is_told_once_a_minute_with_what_to_do() -> None:
    asked = Asked("https://label.example.org", "127.0.0.1")
    for now in (0.0, 1.0, 59.0, 61.0, 62.0):
        asked.now = now
        asked("127.0.0.1", host="evil.example\x07")
    assert len(asked.lines) == 2
    assert "evil.example⟦U+0007⟧" in asked.lines[0] and "https://label.example.org" in asked.lines[0]
    assert "Host header" in asked.lines[0] and "\n" not in asked.lines[0]


def test_a_proxy_that_nobody_named_is_told_once_a_minute_and_not_believed() -> None:
    asked = Asked("https://label.example.org", "127.0.0.1")
    for _ in range(3):
        asked("172.18.0.9", host="label.example.org", x_forwarded_for="198.51.100.1")
    assert asked.clients == ["172.18.0.9"] * 3
    (line,) = asked.lines
    assert "--trust-proxy 172.18.0.9" in line
    asked("127.0.0.1", host="label.example.org", x_forwarded_for="198.51.100.1")
    assert asked.clients[-1] == "198.51.100.1" and len(asked.lines) == 1
