"""Pages in Prefect are for people: what others wrote is code there, and one that cannot be written costs nothing."""

import io
import re
import sys
from typing import Any

import pytest

from data.console import LOGGER
from data.ingest.pipeline import IngestResult
from models.training.loop import PROGRESS, progress
from tasks import artifacts
from tests.support.vendor import Round


@pytest.fixture(autouse=True)
def _in_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LOGGER, "propagate", True)  # the command line keeps its lines to itself
    monkeypatch.setattr(sys, "stderr", io.StringIO())  # no terminal


def test_what_vendors_wrote_reaches_a_page_as_code(sent: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr(artifacts, "show_artifact", lambda make, key, **content: shown.append(content))
    trap = "`![](http://evil.example/x) ```\n# <img src=http://evil.example>"
    finding: Any = {"fault": "inverted", "evidence": trap}
    artifacts.show_ingested(sent.store, "c", trap, IngestResult("b1", 1, 2, 3, {trap: 2}, "hold", (finding,)), None)
    artifacts.show_refused("c", trap, trap)
    for page in shown:
        outside = re.sub(r"`[^`\n]*`", "", page["markdown"])
        assert "http" not in outside and "<img" not in outside and "evil" in page["markdown"]
    assert "andon decide c b1 accept" in shown[0]["markdown"], "what is on hold waits for a person"


def test_a_page_that_cannot_be_written_is_a_line_and_no_failure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def make(**content: Any) -> None:
        raise ConnectionError("the server is away")

    assert artifacts.show_artifact(make, "k") is None and not caplog.messages, "outside of a flow nobody looks"
    monkeypatch.setattr("prefect.context.FlowRunContext.get", lambda: object())
    assert artifacts.show_artifact(make, "k") is None
    assert caplog.messages == ["page: the artifact was not written: the server is away"]


def test_a_training_in_a_log_says_every_tenth_how_far_it_is(caplog: pytest.LogCaptureFixture) -> None:
    assert list(progress(range(1_200), "reward model", "step", first=600)) == list(range(600, 1_200))
    found = [PROGRESS.search(line) for line in caplog.messages]
    said = [match.groups() for match in found if match is not None]
    assert said == [("reward model", f"{done:,}", "1,200") for done in range(720, 1_201, 120)]


def test_batches_are_counted_and_not_what_is_in_them(caplog: pytest.LogCaptureFixture) -> None:
    assert list(progress(range(0, 512, 64), "evaluating KL", "batch")) == list(range(0, 512, 64))
    assert caplog.messages == [f"evaluating KL: batch {done} of 8" for done in range(1, 9)]
