"""An S3-like server that ignores every condition, as several do: a later put overwrites, and says 200."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Careless(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # which answers `Expect: 100-continue` at once
    objects: dict[str, bytes] = {}

    def do_PUT(self) -> None:
        self.objects[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200)

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if "list-type" in address.query:
            prefix = f"{address.path}/{parse_qs(address.query)['prefix'][0]}"
            found = [name.removeprefix(f"{address.path}/") for name in self.objects if name.startswith(prefix)]
            listed = "".join(f"<Contents><Key>{name}</Key></Contents>" for name in sorted(found))
            return self._answer(200, f"<ListBucketResult>{listed}</ListBucketResult>".encode())
        self._answer(200 if self.path in self.objects else 404, self.objects.get(self.path, b""))

    do_HEAD = do_GET

    def do_DELETE(self) -> None:
        self.objects.pop(self.path, None)
        self._answer(204)

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.command == "GET" else b"")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running() -> Iterator[str]:
    """Run the server and yield its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Careless) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
