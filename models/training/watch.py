"""One watch on the cord for all processes of a training: the first process looks, and all stop at the same step."""

from data.cord.watch import Watch
from data.errors import Stopped, StoreUnreachable
from models.training.processes import processes

CONTINUE, STOPPED, UNREACHABLE = range(3)


class WatchTogether:
    """A `look` for every process. All processes must call it equally often."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.processes = processes()

    def __call__(self) -> None:
        raised: Stopped | StoreUnreachable | None = None
        if self.processes.is_main:
            try:
                self.watch.poll()
            except (Stopped, StoreUnreachable) as error:
                raised = error
        verdict = CONTINUE if raised is None else STOPPED if isinstance(raised, Stopped) else UNREACHABLE
        verdict = self.processes.broadcast(verdict)
        if raised is not None:
            raise raised
        if verdict == STOPPED:
            raise Stopped([])
        if verdict == UNREACHABLE:
            raise StoreUnreachable("The training stops, because its first process cannot read the cord.")
