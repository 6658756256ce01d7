"""Real SIGKILLs and a failing network, in their short form; `make reliability` runs the long one."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.reliability import network_faults
from tests.support import seaweed

pytestmark = pytest.mark.reliability
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("place", "rounds"), [("folder", "2"), ("s3", "1")])
def test_what_killed_writers_said_was_done_is_there(place: str, rounds: str) -> None:
    command = [sys.executable, "-m", "tests.reliability.sigkill", place, rounds, "4"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    kills, acknowledged = (int(ran.stdout.split(word)[0].split()[-1].replace(",", "")) for word in (" kills", " ackn"))
    assert kills > 5 and acknowledged > 20


def test_a_network_that_spoils_a_quarter_of_all_requests_loses_and_doubles_nothing(
    s3_server: seaweed.Server, s3_uri: str
) -> None:
    outcome = network_faults.rounds(s3_server, s3_uri, 8)
    assert outcome.violations == []
    assert set(outcome.faults) == {"lost on the way", "answer lost", "half of it sent", "busy", "answer cut"}


def test_a_store_that_takes_its_own_object_for_another_ones_is_found_out(
    s3_server: seaweed.Server, s3_uri: str
) -> None:
    assert network_faults.rounds(s3_server, s3_uri, 8, knows_its_own=False).violations
