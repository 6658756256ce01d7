"""How a training process ends when it is told to: save at the next step, leave, and let the next attempt go on.

A preempted machine, a cancelled flow run and a person's Ctrl-C all arrive as a signal. A training does not outlive its
parent: if the parent is killed, Linux sends the same signal at once, and elsewhere andon_launcher.py sends it.
"""

import ctypes
import signal
import sys
import threading
from types import FrameType

PR_SET_PDEATHSIG = 1
GRACE_S = 60  # for the step under way and its checkpoint; Kubernetes and Prefect send SIGKILL after 30 by default
SAVED_EXIT_CODE = 128 + signal.SIGTERM  # the exit code of a training that saved and left

_stop_requested = threading.Event()


class ExitAfterSave(SystemExit):
    """The training has saved its state and leaves."""


def listen() -> None:
    """From here on SIGTERM and SIGINT ask this process to save and leave, and so does the death of its parent."""
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, _tell)
    die_with_parent()


def die_with_parent() -> None:
    """Have Linux send SIGTERM to this process when its parent dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def stop_requested() -> bool:
    """Whether this process was asked to save and leave."""
    return _stop_requested.is_set()


def exit_saved() -> None:
    """End the training; its state is saved."""
    raise ExitAfterSave(SAVED_EXIT_CODE)


def _tell(number: int, frame: FrameType | None) -> None:
    _stop_requested.set()
    signal.alarm(GRACE_S)  # its default action ends a process that cannot come to its next step
