"""The end of a training process by a signal: it saves at the next step and exits, and the next attempt continues.

A preempted machine, a cancelled flow run and a person's Ctrl-C all arrive as a signal. A training does not outlive its
parent: if the parent is killed, Linux sends the same signal at once, and elsewhere andon_launcher.py sends it.
"""

import ctypes
import math
import signal
import sys
import threading
import time
from types import FrameType

PR_SET_PDEATHSIG = 1
GRACE_S = 60  # shortest time for the current step and its checkpoint; Kubernetes and Prefect allow 30 by default
MANY = 4  # times the longest step so far, with its checkpoint: the time for the current one, if that is more
SAVED_EXIT_CODE = 128 + signal.SIGTERM  # the exit code of a training that saved and left

_stop_requested = threading.Event()


class Steps:
    """The time of the last step of this process, and the longest time that a step took."""

    def __init__(self) -> None:
        self.last, self.longest = time.monotonic(), 0.0

    def taken(self) -> None:
        now = time.monotonic()
        self.longest, self.last = max(self.longest, now - self.last), now


_steps = Steps()


class ExitAfterSave(SystemExit):
    """The training has saved its state and exits."""


def listen() -> None:
    """Let SIGTERM, SIGINT and the death of the parent ask this process to save and exit."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _request_stop)
    die_with_parent()


def die_with_parent() -> None:
    """Have Linux send SIGTERM to this process when its parent dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def stop_requested() -> bool:
    """Return whether a signal asked this process to save and exit. A training asks this once a step."""
    _steps.taken()
    return _stop_requested.is_set()


def leaving() -> bool:
    """Return whether this process ends by itself, because a signal asked it to."""
    return _stop_requested.is_set()


def exit_saved() -> None:
    """End the training, whose state is saved."""
    raise ExitAfterSave(SAVED_EXIT_CODE)


def _request_stop(number: int, frame: FrameType | None) -> None:
    _stop_requested.set()
    signal.alarm(grace_s())  # the default action ends a process that does not reach its next step


def grace_s() -> int:
    """Return the seconds that the current step and its checkpoint may still take."""
    return max(GRACE_S, math.ceil(MANY * _steps.longest))
