"""Hands on what waits on this machine for a store, in a process of its own that outlives the command that started it.

`andon pull` starts it if the store does not answer in time, because somebody may go home after pulling the cord.
"""

import subprocess
import sys
from contextlib import suppress

from andon_launcher import lasting
from data.cord import spool
from data.cord.courier import Courier
from data.store import Store, hurried, open_store

LASTS_S = 3_600.0  # after an hour, the next command on this machine hands the pulls on


def start(store: Store) -> None:
    """Start the process; if that fails, the next command on this machine hands the pulls on."""
    nowhere = subprocess.DEVNULL
    with suppress(OSError):
        subprocess.Popen(
            lasting("data.cord.hand_on", store.uri),
            stdin=nowhere,
            stdout=nowhere,
            stderr=nowhere,
            start_new_session=True,  # a closed terminal does not end it
        )


def main() -> None:
    store = hurried(open_store(sys.argv[1]))
    courier = Courier(store)
    courier.take(spool.waiting(store))
    courier.wait(LASTS_S)


if __name__ == "__main__":
    main()
