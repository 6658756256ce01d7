"""What every request passes before a handler sees it, and the headers that every answer carries.

No inline script, nothing from elsewhere, no framing; a change is a POST of JSON from a page of this very origin. The
name in the Host header must be one of ours, or any site could point its own name at a server on loopback.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 64 << 10
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'none'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Headers:
    """Adds HEADERS to every answer, errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *ours]
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


def check_host(request: Request, public: str | None) -> None:
    """Refuse a request that was sent to a name which is not ours."""
    named = urlsplit(f"//{request.headers.get('host', '')}")
    if not (named.hostname in LOOPBACK if public is None else named.netloc == urlsplit(public).netloc):
        raise HTTPException(421, "This server does not answer to that name.")


def check_origin(request: Request, public: str | None) -> None:
    """Refuse a change that does not come from a page of ours."""
    expected = public or f"http://{request.headers.get('host', '')}"
    if request.headers.get("origin") != expected or request.headers.get("sec-fetch-site", "same-origin") != (
        "same-origin"
    ):
        raise HTTPException(403, "This request comes from another site.")


async def read_json(request: Request) -> Mapping[str, Any]:
    """Read a small JSON object, without taking in more than that."""
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise HTTPException(415, "Send JSON.")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise HTTPException(413, "That is too long.")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "That is not JSON.") from error
    if not isinstance(found, dict):
        raise HTTPException(400, "That is not a JSON object.")
    return found
