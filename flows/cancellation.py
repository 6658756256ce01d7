"""How a flow ends early: by a pulled cord, which is no failure, or by Ctrl-C, which must not take minutes."""

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn, ParamSpec, TypeVar, cast

from prefect.exceptions import CancelledRun, TerminationSignal
from prefect.settings import get_current_settings
from prefect.states import Cancelled

from data.console import INTERRUPTED
from data.cord.cord import check
from data.errors import Stopped
from data.store import open_store

if get_current_settings().api.url is None:  # each flow imports this module, and Prefect starts a server before it runs
    from flows.ephemeral_server import start_as_child

    start_as_child()

P = ParamSpec("P")
R = TypeVar("R")
EXIT_TIMEOUT_S = 60.0  # for a flow to release what it holds after SIGTERM


def stoppable(body: Callable[P, R]) -> Callable[P, R]:
    """Make a pulled cord end the flow run in a state that names the pull, also if the pull stopped a flow inside it.

    If the flow is interrupted and Prefect's server is a child of this process, the process exits here. The body has
    released what it held by then, and Prefect would keep asking a server that got the same Ctrl-C.
    """

    @functools.wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with _exit_after_timeout():
                return body(*args, **kwargs)
        except (Stopped, CancelledRun) as stopped:
            return cast(R, Cancelled(name="Stopped", message=str(stopped)))  # Prefect makes it the final state
        except (KeyboardInterrupt, TerminationSignal) as interrupt:
            if get_current_settings().api.url is not None:
                raise
            _exit(interrupt.signal if isinstance(interrupt, TerminationSignal) else signal.SIGINT)

    return run


def check_line(store: str, campaign: str, run: str | None = None) -> None:
    """Raise Stopped if a pull stops this campaign, or this run of it."""
    check(open_store(store), campaign, run)


@contextmanager
def _exit_after_timeout() -> Iterator[None]:
    """Exit some time after SIGTERM if the process still runs.

    Prefect's handler raises an exception in the code that runs. If that code is a finalizer, Python drops the
    exception, and the flow would continue without its server, which got the same signal.
    """
    raise_in_flow = signal.getsignal(signal.SIGTERM)
    has_own_server = get_current_settings().api.url is None and threading.current_thread() is threading.main_thread()
    if not has_own_server or not callable(raise_in_flow):
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        timer = threading.Timer(EXIT_TIMEOUT_S, _exit, [number])
        timer.daemon = True
        timer.start()
        raise_in_flow(number, frame)

    signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, raise_in_flow)


def _exit(number: int) -> NoReturn:
    from flows.ephemeral_server import stop  # imported only if there is one, because that takes seconds

    stop()
    with suppress(OSError):  # its reader may be gone
        sys.stderr.write(INTERRUPTED)
        sys.stderr.flush()
    os._exit(128 + number)
