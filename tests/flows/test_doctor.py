"""`andon doctor`: what it names, and that a store which would lose labels is refused."""

import json
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from data.canonical import seal
from data.cord import cord
from data.runs import leases
from data.store import open_store, s3
from data.store.conformance import violations
from flows.cli.main import app
from tests.support import careless_s3


def doctor(uri: str, *options: str, code: int = 0) -> dict[str, str]:
    """Run the command and return what it says, by what it looked at."""
    ran = CliRunner().invoke(app, ["doctor", "--store", uri, "--json", *options])
    assert ran.exit_code == code, ran.output
    result: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    assert bool(result["wrong"]) == bool(code)
    return {each["what"]: each["result"] for each in result["findings"]}


def test_a_sound_installation_and_store_are_said_to_be(tmp_path: Path) -> None:
    assert "does not exist yet" in doctor(str(tmp_path / "store"))["store"]
    assert not (tmp_path / "store").exists()
    (tmp_path / "store").mkdir()
    said = doctor(str(tmp_path / "store"))
    assert said["cord"] == "the line is free" and said["leases"] == "no lease is held"
    assert "keeps its contract" in said["store"] and "torch" in said["packages"]
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == [], "the probe leaves nothing"


def test_the_tests_own_s3_server_holds_the_contract(s3_uri: str, tmp_path: Path) -> None:
    assert violations(open_store(s3_uri), tmp_path) == []


def test_a_server_that_ignores_conditions_is_refused(
    s3_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with careless_s3.running() as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        s3._client.cache_clear()
        said = doctor("s3://bucket/store", code=1)["store"]
        assert "does not hold conditional puts" in said or "do not match their checksum" in said
        found = violations(open_store("s3://bucket/store"), tmp_path)
    assert any("does not hold conditional puts" in fault for fault in found)
    assert any("do not match their checksum" in fault for fault in found)
    s3._client.cache_clear()


def test_a_store_out_of_reach_is_named(s3_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    s3._client.cache_clear()
    assert "SignatureDoesNotMatch" in doctor(s3_uri, code=1)["store"]
    s3._client.cache_clear()


def test_pulls_and_holders_are_told_and_damage_is_found(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    made = cord.pull(store, "a test", by="ann")
    leases.acquire(store, "c", "ann")
    store.put_new("campaigns/c/label_sets/ls1.json", seal({"labels": 1}))
    said = doctor(str(tmp_path), "--verify")
    assert made.pull in said["cord"] and "lease on c held by ann@" in said["leases"] and "3 objects" in said["objects"]
    assert said["foreign"] == "Andon wrote everything in the store"
    store.put_new("campaigns/c/page/b1/answers/q1.True.json", b"{}")
    assert "campaigns/c/page/b1/answers/q1.True.json" in doctor(str(tmp_path))["foreign"]
    entry = tmp_path / "cord/log/0000000001.json"
    entry.write_bytes(entry.read_bytes().replace(b"a test", b"a tesu"))
    assert "is damaged" in doctor(str(tmp_path), code=1)["cord"]
    entry.unlink()
    (tmp_path / "cord/log/0000000002.json").write_bytes(seal({"number": 2}))
    assert "no entry 1" in doctor(str(tmp_path), "--verify", code=1)["objects"]


def test_a_package_that_breaks_prefect_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "2.1.0" if name == "sqlalchemy" else real(name))
    assert "sqlalchemy 2.1.0 is installed; it must be <2.1" in doctor(str(tmp_path), code=1)["packages"]
