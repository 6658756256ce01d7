"""How a training process ends when it is told to: save at the next step, leave, and let the next attempt go on.

A machine that is taken away, a cancelled flow run, a person's Ctrl-C: all arrive as a signal. And a training never
outlives what started it: where its parent dies without a word, Linux sends the same signal.
"""

import ctypes
import os
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
    """Have SIGTERM sent to this process when its parent dies; where that is known already, send it now."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() == 1:
            os.kill(os.getpid(), signal.SIGTERM)


def stop_requested() -> bool:
    """Whether this process was asked to save and leave."""
    return _stop_requested.is_set()


def exit_saved() -> None:
    """End the training; its state is saved."""
    raise ExitAfterSave(SAVED_EXIT_CODE)


def _tell(number: int, frame: FrameType | None) -> None:
    _stop_requested.set()
    signal.alarm(GRACE_S)  # its default action ends a process that cannot come to its next step
