"""How a flow ends before its end: a pulled cord is no failure, and a person's Ctrl-C no reason to wait for minutes."""

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

P = ParamSpec("P")
R = TypeVar("R")
PATIENCE_S = 60.0  # for what a flow gives back when it is asked to end


def stoppable(body: Callable[P, R]) -> Callable[P, R]:
    """Let a flow's body, or a flow called in it, end its flow run in a state that names the pull.

    Where it is interrupted and Prefect's server is a child of this process, the process ends here: what the body held
    is given back, and Prefect would go on asking a server that heard the same Ctrl-C.
    """

    @functools.wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with _asked_in_vain():
                return body(*args, **kwargs)
        except (Stopped, CancelledRun) as stopped:
            return cast(R, Cancelled(name="Stopped", message=str(stopped)))  # Prefect takes it for the final state
        except (KeyboardInterrupt, TerminationSignal) as asked:
            if get_current_settings().api.url is not None:
                raise
            _leave(asked.signal if isinstance(asked, TerminationSignal) else signal.SIGINT)

    return run


def check_line(store: str, campaign: str, run: str | None = None) -> None:
    """Raise Stopped where a pull stops this campaign, or this run of it."""
    check(open_store(store), campaign, run)


@contextmanager
def _asked_in_vain() -> Iterator[None]:
    """End a process some time after SIGTERM, should it not have ended by then.

    Prefect's handler raises in whatever runs, and where that is a finalizer Python drops the exception: the flow would
    go on without its server, which heard the same signal.
    """
    raises = signal.getsignal(signal.SIGTERM)
    on_its_own = get_current_settings().api.url is None and threading.current_thread() is threading.main_thread()
    if not on_its_own or not callable(raises):
        yield
        return

    def asked(number: int, frame: FrameType | None) -> None:
        late = threading.Timer(PATIENCE_S, _leave, [number])
        late.daemon = True
        late.start()
        raises(number, frame)

    signal.signal(signal.SIGTERM, asked)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, raises)


def _leave(number: int) -> NoReturn:
    from prefect.server.api.server import SubprocessASGIServer

    SubprocessASGIServer().stop()  # the one that is running
    with suppress(OSError):  # whoever read it may be gone
        sys.stderr.write(INTERRUPTED)
        sys.stderr.flush()
    os._exit(128 + number)
