"""Tell a chat or a pager what happened on the line: one small POST to ANDON_WEBHOOK, where somebody set it.

A notice is a courtesy. It waits three seconds at most, follows no redirect, and its failure is a line in the log.
"""

import json
import os
import urllib.error
import urllib.request
from typing import Any, Literal

from data.canonical import Document, plain
from data.console import LOGGER

TIMEOUT_S = 3
Kind = Literal["stop", "promotion", "refusal"]


class _Unredirected(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def notify(kind: Kind, text: str, facts: Document) -> None:
    """Post `{"text", "kind", ...facts}`, which Slack, Mattermost and their like show as a message."""
    url = os.environ.get("ANDON_WEBHOOK")
    if not url:
        return
    body = json.dumps(plain({**facts, "kind": kind, "text": f"andon {kind}: {text}"})).encode()
    try:
        if not url.startswith(("http://", "https://")):
            raise ValueError("ANDON_WEBHOOK is not an http address")
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.build_opener(_Unredirected).open(request, timeout=TIMEOUT_S):
            pass
    except (OSError, ValueError, urllib.error.URLError) as error:
        LOGGER.info(f"notice: not delivered, {error}")
