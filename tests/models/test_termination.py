"""A training hears that it shall end, from a signal or from its parent's death; a notice never stops the line."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from data.cord.webhook import notify
from models.training import termination

ROOT = Path(__file__).resolve().parents[2]
TRAINER = """
import time
from models.training import termination
termination.listen()
print("listens", flush=True)
while not termination.stop_requested():
    time.sleep(0.01)
print("was told", flush=True)
"""
LAUNCHER = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("through", ["itself", "its parent"])
def test_a_training_is_told_to_end(sent: signal.Signals, through: str) -> None:
    if through == "itself" and sent == signal.SIGKILL:
        sent = signal.SIGINT  # nobody hears SIGKILL
    command = ["-c", TRAINER] if through == "itself" else ["-c", LAUNCHER, TRAINER]
    with subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "listens\n"
        started.send_signal(sent)
        assert started.stdout.readline() == "was told\n"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/nobody", "file:///etc/hostname", "nonsense"])
def test_a_notice_that_cannot_be_delivered_stops_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDON_WEBHOOK", url)
    notify("refusal", "a delivery", {"campaign": "c"})


def test_a_long_step_gets_the_time_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    alarms: list[int] = []
    clock = iter([0.0, 100.0, 900.0, 910.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(signal, "alarm", alarms.append)
    monkeypatch.setattr(termination, "_stop_requested", threading.Event())
    monkeypatch.setattr(termination, "_steps", termination.Steps())
    for _ in range(3):
        termination._request_stop(signal.SIGTERM, None)
        termination.stop_requested()
    assert alarms == [termination.GRACE_S, 400, 3200] and termination.leaving()
