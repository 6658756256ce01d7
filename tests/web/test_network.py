"""The cord over a network that accepts every request and never answers: a real S3 server, proxy, page and command."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from data.batches.index import read_batch
from data.page.accounts import add
from data.paths import CORD_LOG
from data.store import LocalStore, Store, log, open_store, s3
from tests.support import faulty_proxy, seaweed
from tests.support.command import on_store
from tests.support.labeling import prepared, simple
from tests.support.team import until
from web.app import Page, application
from web.desk import Desk
from web.desks import Desks

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 600  # of this test's own requests; a busy machine is slow, not wrong


class Network:
    """A store in S3 behind a proxy, and the same store without it."""

    def __init__(self, uri: str, proxy: faulty_proxy.FaultyProxy, direct: Store) -> None:
        self.uri, self.proxy, self.direct = uri, proxy, direct

    def pulls(self) -> list[str]:
        return [entry["pull"] for entry in log.entries(self.direct, CORD_LOG)]


@pytest.fixture
def network(s3_server: seaweed.Server, s3_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    s3._client.cache_clear()
    direct = open_store(s3_uri)
    with faulty_proxy.running(s3_server.port, share=0) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{proxy.server_port}")
        s3._client.cache_clear()
        yield Network(s3_uri, proxy, direct)
        proxy.answers.set()
    s3._client.cache_clear()


def page_of(network: Network, scratch: Path) -> tuple[uvicorn.Server, httpx.Client, Callable[..., Any]]:
    """Serve a batch of the store, and sign in as somebody who may pull."""
    local = LocalStore(scratch / "batch")
    prepared(local, simple(2))
    for key in local.keys("campaigns"):
        network.direct.put_new(key, local.read(key))
    token, store = add(network.direct, "ada"), open_store(network.uri)
    batch = read_batch(store, "sentiment", "b1")
    assert batch is not None
    page = Page(store, Desks(Desk(store, "sentiment", batch)), b"k" * 32, None)
    server = uvicorn.Server(uvicorn.Config(application(page), port=0, log_level="error"))
    threading.Thread(target=server.run, daemon=True).start()
    until("the page listens", lambda: server.started)
    origin = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    client = httpx.Client(base_url=origin, timeout=TIMEOUT_S)
    assert client.post("/session", json={"token": token}, headers={"origin": origin}).status_code == 200
    headers = {"origin": origin, "x-csrf": page.sessions.csrf(client.cookies["andon"])}
    return server, client, lambda path, body: client.post(path, json=body, headers=headers)


@pytest.mark.slow
def test_the_page_and_the_command_take_a_pull_while_the_network_swallows_everything(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server, client, post = page_of(network, tmp_path)
    network.proxy.answers.clear()
    receipt = post("/pull", {"reason": "it insults people", "scope": "campaign"})
    assert receipt.status_code == 200 and receipt.json()["number"] is None
    assert client.get("/static/page.js").status_code == client.get("/wall").status_code == 200
    by_command = on_store(network.uri, monkeypatch, capsys)("pull", "--reason", "seen by a person")
    assert by_command["spooled"] and not network.proxy.answers.is_set(), "all this while the network is down"
    assert network.pulls() == [] and len(list((tmp_path / "state").glob("spool/*/*.json"))) == 2
    network.proxy.answers.set()
    pulled = {receipt.json()["pull"], by_command["pull"]}
    until("both arrive by themselves", lambda: set(network.pulls()) == pulled)
    until("and leave this machine", lambda: not list((tmp_path / "state").glob("spool/*/*.json")))
    assert len(network.pulls()) == 2, "each once"
    server.should_exit = True
    client.close()


@pytest.mark.slow
def test_a_pull_arrives_after_its_command_has_ended(network: Network, tmp_path: Path) -> None:
    network.proxy.answers.clear()
    command = [sys.executable, "-m", "flows.cli", "pull", "--reason", "it insults people", "--store", network.uri]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0 and network.pulls() == [], ended.stderr
    (kept,) = (tmp_path / "state").glob("spool/*/*.json")
    network.proxy.answers.set()
    until("it arrives by itself", lambda: network.pulls() == [kept.stem])
    until("and leaves this machine", lambda: not kept.exists())
