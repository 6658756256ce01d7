"""What must be set before Prefect is imported, and how progress reaches the terminal."""

import logging
import os
import sys
import tempfile
from pathlib import Path

from data.errors import Refused
from data.store.user_state import local_state

ROOM = 8 << 20  # bytes that Prefect's database takes, and a little more


def prepare(store: str) -> None:
    """Point Prefect at a home of its own, in a store that is a folder, unless the user's environment says otherwise.

    Without a server of the user's (PREFECT_API_URL) flows run on Prefect's ephemeral one, on SQLite in that home.
    """
    beside = local_state().root if "://" in store else Path(store).expanduser().absolute()
    defaults = {
        "PREFECT_HOME": str(beside / ".prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "andon",  # the stage lines also appear on the run's page
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # a first start migrates its database
        # A refusal is one line of ours, not a traceback of Prefect's; the run's page still shows everything.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",  # lines of commands that are no flow
        "TOKENIZERS_PARALLELISM": "false",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    home = Path(os.environ["PREFECT_HOME"])
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as probe:  # else Prefect's database would be waited for in vain
            probe.write(bytes(ROOM))
            probe.flush()
    except OSError as error:
        raise Refused(f"{home} cannot be written: {error.strerror}.") from error
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("andon")
    logger.setLevel(logging.INFO)
    logger.handlers = [lines]
    logger.propagate = False
