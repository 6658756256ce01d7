"""The examples of deploy/ for Caddy and nginx, run in front of the real page: labeling works, clients stay apart."""

import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from data.page.accounts import add
from data.store import LocalStore
from tests.support.labeling import ROOT, Server, free_port, prepared, simple, stored_answers

pytestmark = pytest.mark.browser
DEPLOY = ROOT / "deploy"
SPOOFED = "198.51.100."


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    assert found is not None, "deploy/proxies.sh installs it"
    return found


@contextmanager
def caddy(folder: Path, port: int, upstream: int) -> Iterator[Path]:
    """Run the example with certificates of its own, and yield the file of the authority that signed them."""
    (folder / "Caddyfile").write_text(
        "{\nadmin off\nlocal_certs\nskip_install_trust\nauto_https disable_redirects\ndefault_bind 127.0.0.1\n}\n"
        f"import {DEPLOY / 'caddy' / 'Caddyfile'}\n"
    )
    environment = {name: str(folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    environment |= {"ANDON_SITE": f"localhost:{port}", "ANDON_UPSTREAM": f"127.0.0.1:{upstream}"}
    command = [program("caddy"), "run", "--config", str(folder / "Caddyfile")]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stderr is not None
            log = []
            for line in running.stderr:
                log.append(line)
                if "certificate obtained successfully" in line:
                    break
            else:
                pytest.fail("".join(log))
            authority = folder / "caddy" / "pki" / "authorities" / "local" / "root.crt"
            while not speaks_tls(port, authority):  # it uses the certificate some time after it says so
                assert running.poll() is None
                time.sleep(0.01)
            yield authority
        finally:
            running.kill()


def speaks_tls(port: int, authority: Path) -> bool:
    trust = ssl.create_default_context(cafile=str(authority))
    with (
        suppress(OSError),
        socket.create_connection(("127.0.0.1", port)) as plain,
        trust.wrap_socket(plain, server_hostname="localhost"),
    ):
        return True
    return False


@contextmanager
def nginx(folder: Path, port: int, upstream: int) -> Iterator[Path]:
    """Run the example with a certificate that signs itself, and yield the certificate."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    openssl = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    openssl += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*openssl, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    example = (DEPLOY / "nginx" / "andon.conf").read_text()
    changes = {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "server_name labels.example.org": "server_name localhost",
        "/etc/letsencrypt/live/labels.example.org/fullchain.pem": str(certificate),
        "/etc/letsencrypt/live/labels.example.org/privkey.pem": str(key),
        "http://127.0.0.1:8600": f"http://127.0.0.1:{upstream}",
    }
    for old, new in changes.items():
        assert example.count(old) >= 1, old
        example = example.replace(old, new)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr notice;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{example}}}\n"
    )
    command = [program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stderr is not None
            log = []
            for line in running.stderr:  # its sockets listen before it says so
                log.append(line)
                if "using the" in line:
                    break
            else:
                pytest.fail("".join(log))
            yield certificate
        finally:
            running.kill()


@contextmanager
def visitor(origin: str, authority: Path, address: str, token: str, forwarded: str = "") -> Iterator[httpx.Client]:
    """A browser on a machine with this address, after its attempt to sign in."""
    trust = ssl.create_default_context(cafile=str(authority))
    transport = httpx.HTTPTransport(verify=trust, local_address=address)
    headers = {"origin": origin} | ({"x-forwarded-for": forwarded} if forwarded else {})
    with httpx.Client(transport=transport, base_url=origin, headers=headers, timeout=120) as client:
        client.headers["x-status"] = str(client.post("/session", json={"token": token}).status_code)
        yield client


def test_people_label_behind_the_proxies_and_each_client_is_counted_as_itself(tmp_path: Path) -> None:
    store, port = LocalStore(tmp_path / "store"), free_port()
    origin = f"https://localhost:{port}"
    page = Server(store, "--public", origin, "--trust-proxy", "127.0.0.1")
    with ExitStack() as after:
        after.callback(page.kill)
        assert "has no batch" in page.start(until="the page waits"), "a service waits for its first batch"
        prepared(store, simple(4))
        token = add(store, "ada")
        assert page.wait_for(" at https").endswith("(Ctrl-C stops the page)\n")
        for number, proxy in enumerate((caddy, nginx), 1):
            (folder := tmp_path / proxy.__name__).mkdir()
            with proxy(folder, port, page.port) as authority:

                def status(address: str, token: str, forwarded: str = "") -> int:
                    with visitor(origin, authority, address, token, forwarded) as client:
                        return int(client.headers["x-status"])

                stranger, ada = f"127.0.1.{number}", f"127.0.2.{number}"
                guesses = [status(stranger, f"guess {n}", f"{SPOOFED}{n}") for n in range(7)]
                assert guesses == [401] * 5 + [429] * 2, f"{proxy.__name__}: what the stranger says is not believed"
                assert status(ada, "mistyped") == 401, f"{proxy.__name__}: another client is counted as itself"
                with visitor(origin, authority, ada, token) as client:
                    assert client.headers["x-status"] == "200" and "__Host-andon" in client.cookies
                    found = re.search(r'name="csrf" content="([^"]+)"', client.get("/").text)
                    assert found is not None
                    question = client.get("/question").json()["question"]
                    answer = {
                        "question_id": question["question_id"],
                        "ticket": question["ticket"],
                        "version": 1,
                        "choice": 1,
                    }
                    assert client.post("/answer", json=answer, headers={"x-csrf": found[1]}).status_code == 200
                assert len(stored_answers(store)) == number
                assert httpx.get(page.url, headers={"host": "evil.example"}).status_code == 421
