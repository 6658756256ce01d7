"""What ends a command on purpose. The text of each error is one line for a person: the problem, the place, the fix."""

from collections.abc import Sequence


class Refused(Exception):
    """The user asked for something that cannot be done. The command line prints the message and exits with 1."""


class Unavailable(Refused):
    """The store does not take or give what it should: a full disk, a lost network, expired credentials."""


class FieldMissing(Refused, KeyError):
    """A sealed document does not have a field that its reader needs. Templates, which may ask, see a KeyError."""

    __str__ = Exception.__str__


class StoreUnreachable(Refused):
    """The store has been out of reach for too long: nobody could have stopped the training."""


class Stopped(Refused):
    """The line is stopped by these pulls. The command line exits with 3."""

    def __init__(self, pulls: Sequence[str], message: str = "The line is stopped by a pull.") -> None:
        super().__init__(message)
        self.pulls = tuple(pulls)


class LeaseHeld(Refused):
    """Another process trains this campaign; the message names it."""


class LeaseLost(Refused):
    """Another process took the lease over: nothing may be written under it any more."""


class SystemUnavailable(Refused):
    """This campaign cannot have the system, or does not have it yet."""


MEMORY_RAN_OUT = "Memory ran out. Use a smaller base, shorter texts, or a machine with more memory."


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out: Python's own, or those of torch for GPU and processor."""
    texts = ("out of memory", "not enough memory", "can't allocate memory")
    return isinstance(error, MemoryError) or any(text in str(error).lower() for text in texts)
