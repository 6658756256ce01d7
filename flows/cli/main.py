"""The command line: `andon --help` is the table of contents.

For people first; with --json the last line of standard output is one JSON object and everything else goes to standard
error. Exit codes: 0 done, 1 refused with a reason, 2 usage, 3 the line is stopped. Flows are imported late, because
Prefect reads its settings when it is imported, and `andon status` should not wait for torch.
"""

import io
import sys

from data.console import INTERRUPTED
from data.errors import Refused, Stopped
from flows.cli import cord, doctor, evaluation, labels, page, rounds, status  # noqa: F401  (they register their commands)
from flows.cli.options import app, refuse


def main() -> None:
    """Run the command line; a refusal is one line and exit code 1, a stopped line one and exit code 3."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows no line to draw a tree with
    try:
        app()
    except Refused as refusal:
        refuse(str(refusal), 3 if isinstance(refusal, Stopped) else 1)
    except OSError as error:
        if error.filename is None or error.strerror is None:
            raise
        refuse(f"{error.filename}: {error.strerror}.", 1)
    except Exception as error:
        if not _ended_by_the_cord(error):
            raise
        refuse(str(error), 3)
    except SystemExit as ended:
        if ended.code == 130:  # what typer makes of a Ctrl-C
            sys.stderr.write(INTERRUPTED)
        raise


def _ended_by_the_cord(error: Exception) -> bool:
    """Tell whether a flow ended as flows/stopping.py lets it end, which reaches its caller as Prefect's exception."""
    from prefect.exceptions import CancelledRun

    return isinstance(error, CancelledRun)


if __name__ == "__main__":
    main()
