"""One line a stage, for the person at the terminal and for the run's page in Prefect."""

import logging

INTERRUPTED = "andon: interrupted; what was published stays, run the same command to go on.\n"
LOGGER = logging.getLogger("andon")
LOGGER.setLevel(logging.INFO)  # a worker of Prefect's hands the lines on, but leaves the level at warnings


def say(line: str) -> None:
    """Tell what begins or what came out."""
    LOGGER.info(line)
