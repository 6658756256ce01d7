"""How all processes of a training look at the cord as one: the first one looks, and all leave at the same step."""

from data.cord.watch import Watch
from data.errors import Stopped, StoreUnreachable
from models.training.processes import processes

GO_ON, STOPPED, UNREACHABLE = range(3)


class WatchTogether:
    """A `look` for every process; each must call it equally often, as they do where they share the work."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.processes = processes()

    def __call__(self) -> None:
        seen: Stopped | StoreUnreachable | None = None
        if self.processes.is_main:
            try:
                self.watch.poll()
            except (Stopped, StoreUnreachable) as error:
                seen = error
        verdict = GO_ON if seen is None else STOPPED if isinstance(seen, Stopped) else UNREACHABLE
        verdict = self.processes.broadcast(verdict)
        if seen is not None:
            raise seen
        if verdict == STOPPED:
            raise Stopped([])
        if verdict == UNREACHABLE:
            raise StoreUnreachable("Training stops: the first process cannot see the cord.")
