"""Threads by the kind of their work: a store that hangs uses up those of its own work, and no others."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.exceptions import HTTPException

Result = TypeVar("Result")


class Threads:
    """Threads for one kind of work, and a queue in front of them that is not without end."""

    def __init__(self, kind: str, count: int, most_waiting: int) -> None:
        self._pool = ThreadPoolExecutor(count, kind)
        self._most, self._taken = count + most_waiting, 0

    async def run(self, work: Callable[[], Result]) -> Result:
        """Return the result of some work; raise 503 at once if too much of it waits already."""
        if self._taken >= self._most:
            raise HTTPException(503, "Nothing was saved: the store does not answer. Try again.")
        self._taken += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._taken -= 1
