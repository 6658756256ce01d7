"""The audit fails for advisories alone: without its source it says that nothing was audited."""

import importlib.util
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def audit() -> Any:
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "answer", [b"", b"<html>please sign in</html>", b"[]", b'{"info": {}}', b'{"vulnerabilities": []}']
)
def test_a_source_without_advisories_is_told_and_does_not_fail(
    audit: Any, answer: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    class Index(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Index) as index:
        threading.Thread(target=index.handle_request).start()
        assert audit.main(f"http://127.0.0.1:{index.server_address[1]}") == 0
    assert audit.main("http://127.0.0.1:9") == 0, "nobody listens"
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all(line.startswith("advisories: NOT audited: ") for line in lines)


def test_advisories_are_listed_and_fail(audit: Any, monkeypatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(
        '{"dependencies": [{"name": "a", "version": "1", "vulns": []}, {"name": "c", "skip_reason": "unknown"}, '
        '{"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"], "aliases": []}]}]}'
    )
    monkeypatch.setattr(audit, "check_source", lambda index: None)
    monkeypatch.setattr(audit, "report", lambda: found)
    assert audit.main("") == 1
    assert "b 2: PYSEC-1, fixed in 3" in capsys.readouterr().out
    del found["dependencies"][2]
    assert audit.main("") == 0
    assert "1 of 2 packages audited, 0 advisories" in capsys.readouterr().out
    del found["dependencies"][0]
    assert audit.main("") == 0
    assert "NOT audited" in capsys.readouterr().out, "an index without any of the packages proves nothing"
