"""Rate limits: a bucket of tokens for each labeler or address, refilled at a steady rate."""

import math
import threading
import time
from collections.abc import Callable

MOST_BUCKETS = 10_000


class Limit:
    """At most `burst` at once, and `a_minute` in the long run."""

    def __init__(self, burst: int, a_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst, self._rate, self._clock = burst, a_minute / 60, clock
        self._buckets: dict[str, tuple[float, float]] = {}  # tokens left, when
        self._lock = threading.Lock()

    def wait(self, who: str) -> int:
        """Take a token of `who` and return 0, or the whole seconds after which there is one."""
        with self._lock:
            now = self._clock()
            left, then = self._buckets.pop(who, (float(self._burst), now))
            left = min(float(self._burst), left + (now - then) * self._rate)
            allowed = left >= 1
            self._buckets[who] = (left - 1 if allowed else left), now
            while len(self._buckets) > MOST_BUCKETS:
                del self._buckets[next(iter(self._buckets))]  # the one that was used longest ago
            return 0 if allowed else math.ceil((1 - left) / self._rate)
