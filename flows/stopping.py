"""A flow that meets a pulled cord did not fail: it ends as cancelled, named Stopped, and says by which pull."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from prefect.exceptions import CancelledRun
from prefect.states import Cancelled

from data.cord import Stopped, check
from data.store import open_store

P = ParamSpec("P")
R = TypeVar("R")


def stoppable(body: Callable[P, R]) -> Callable[P, R]:
    """Let a flow's body, or a flow called in it, end its flow run in a state that names the pull."""

    @functools.wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return body(*args, **kwargs)
        except (Stopped, CancelledRun) as stopped:
            return cast(R, Cancelled(name="Stopped", message=str(stopped)))  # Prefect takes it for the final state

    return run


def check_line(store: str, campaign: str, run: str | None = None) -> None:
    """Raise Stopped where a pull stops this campaign, or this run of it."""
    check(open_store(store), campaign, run)
