"""A network that fails: a proxy that spoils a share of all requests, before or after the server acted on them."""

import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULTS = ("lost on the way", "answer lost", "half of it sent", "busy", "answer cut")


class FaultyProxy(ThreadingHTTPServer):
    """Passes requests on to a server on this machine, one connection each."""

    daemon_threads = True

    def __init__(self, port: int, share: float, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.share = port, share
        self.draw, self.lock = random.Random(seed), threading.Lock()
        self.requests, self.faults = 0, Counter[str]()
        self.answers = threading.Event()  # while it is clear, requests are accepted and never answered
        self.answers.set()
        self.latency_s = 0.0  # seconds before a request is passed on

    def next_fault(self) -> str | None:
        """Return what happens to the next request."""
        with self.lock:
            self.requests += 1
            fault = self.draw.choice(FAULTS) if self.draw.random() < self.share else None
            self.faults.update([fault] if fault else [])
            return fault

    def handle_error(self, *_: object) -> None:
        pass  # what the client did with a spoilt connection is not ours to tell


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def _pass_on(self) -> None:
        self.close_connection = True
        if not self.server.answers.is_set():
            self.server.answers.wait()
            return
        time.sleep(self.server.latency_s)
        fault = self.server.next_fault()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if fault == "lost on the way":
            return
        if fault == "busy":
            self.wfile.write(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=600)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() != "expect":
                upstream.putheader(name, value)
        upstream.endheaders()
        if fault == "half of it sent" and len(body) > 1:
            upstream.send(body[: len(body) // 2])
            upstream.close()
            return
        upstream.send(body)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        if fault in ("answer lost", "half of it sent"):
            return
        head = f"HTTP/1.1 {answer.status} {answer.reason}\r\n"
        head += "".join(
            f"{n}: {v}\r\n" for n, v in answer.getheaders() if n.lower() not in ("connection", "transfer-encoding")
        )
        if answer.getheader("Content-Length") is None:
            head += f"Content-Length: {len(content)}\r\n"
        whole = f"{head}Connection: close\r\n\r\n".encode() + content
        with suppress(OSError):
            self.wfile.write(whole[: len(whole) // 2] if fault == "answer cut" else whole)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass_on

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running(port: int, share: float = 0.25, seed: int = 0) -> Iterator[FaultyProxy]:
    """Run the proxy in front of a port of this machine."""
    with FaultyProxy(port, share, seed) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield proxy
        proxy.shutdown()
