"""What every request passes before a handler sees it, and the headers that every answer carries.

No inline script, nothing from elsewhere, no framing. A change is a POST of JSON from a page of this very origin. The
name in the Host header must be one of ours, or any site could point its own name at a server on loopback.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.forms import parse_object

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
LOOPBACK_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)


class Guard:
    """Refuses what was sent to a name that is not ours, for every route, and adds HEADERS to every answer."""

    def __init__(self, app: ASGIApp, public: str | None) -> None:
        self.app, self.public = app, public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *ours]
            await send(message)

        if scope["type"] == "http" and not is_ours(Headers(scope=scope).get("host", ""), self.public):
            refusal = JSONResponse({"error": "This server does not answer to that name."}, status_code=421)
            await refusal(scope, receive, with_headers)
        else:
            await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


def is_ours(host: str, public: str | None) -> bool:
    """Tell whether a Host header names this server; what is no host at all does not."""
    if public is None:
        return LOOPBACK_HOST.fullmatch(host) is not None
    return host.lower() == urlsplit(public).netloc


def check_origin(request: Request, public: str | None) -> None:
    """Refuse a change that does not come from a page of ours."""
    expected = public or f"http://{request.headers.get('host', '')}"
    site = request.headers.get("sec-fetch-site", "same-origin")
    if request.headers.get("origin") != expected or site != "same-origin":
        raise HTTPException(403, "This request comes from another site.")


async def read_json(request: Request) -> Mapping[str, Any]:
    """Read a small JSON object; never read more than that."""
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise HTTPException(415, "Send JSON.")
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > MOST_BYTES:
                raise HTTPException(413, "That is too long.")
        return parse_object(body)
    except ClientDisconnect as error:
        raise HTTPException(400, "The request ended early.") from error
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "That is not a JSON object.") from error
