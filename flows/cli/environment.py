"""The environment that Prefect needs before it is imported, and the log lines of the terminal."""

import logging
import os
import sys
import tempfile
from pathlib import Path

from data.console import LOGGER
from data.errors import Refused
from data.store import open_store
from data.store.user_state import local_state

PREFECT_BYTES = 8 << 20  # the size of a new database of Prefect, and some reserve


def prepare(store: str) -> None:
    """Give Prefect a home of its own, in the store if that is a folder, unless the user's environment names one.

    Without PREFECT_API_URL, flows run on Prefect's ephemeral server, with SQLite in that home.
    """
    folder = local_state().root if "://" in store else Path(open_store(store).uri)
    defaults = {
        "PREFECT_HOME": str(folder / ".prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "andon",  # the stage lines also appear on the run's page
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # a first start migrates its database
        # A refusal is one line, not a traceback of Prefect. The run's page still shows everything.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",  # log lines of commands that are not flows
        "TOKENIZERS_PARALLELISM": "false",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    home = Path(os.environ["PREFECT_HOME"])
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as probe:  # without space, Prefect waits for its database until a timeout
            probe.write(bytes(PREFECT_BYTES))
            probe.flush()
    except OSError as error:
        raise Refused(f"{home}: Prefect's home cannot be written: {error.strerror}.") from error
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
    LOGGER.handlers = [lines]
    LOGGER.propagate = False
