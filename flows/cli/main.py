"""The command line: `andon --help` is the table of contents.

With --json the last line of standard output is one JSON object, and everything else goes to standard error. Exit codes:
0 done, 1 refused with a reason, 2 usage, 3 the line is stopped. Commands import flows late: Prefect reads its settings
when it is imported, and `andon status` should not wait for torch.
"""

import io
import sys

from data.console import INTERRUPTED
from data.errors import MEMORY_RAN_OUT, Refused, Stopped, out_of_memory
from flows.cli.app import app
from flows.cli.options import Call
from flows.cli.output import refuse

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; a refusal is one line and exit code 1, a stopped line is one line and exit code 3."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # some terminals cannot show the lines of a tree
    call = Call()
    try:
        app(obj=call)
    except Refused as refusal:
        refuse(str(refusal), 3 if isinstance(refusal, Stopped) else 1, call.as_json)
    except OSError as error:
        if error.filename is None or error.strerror is None:
            raise
        refuse(f"{error.filename}: {error.strerror}.", 1, call.as_json)
    except Exception as error:
        if out_of_memory(error):
            refuse(MEMORY_RAN_OUT, 1, call.as_json)
        if not _ended_by_the_cord(error):
            raise
        refuse(str(error), 3, call.as_json)
    except SystemExit as ended:
        if ended.code == 130:  # typer turns a Ctrl-C into this code
            sys.stderr.write(INTERRUPTED)
        raise


def _ended_by_the_cord(error: Exception) -> bool:
    """Tell whether flows/cancellation.py ended a flow: its caller gets an exception of Prefect's."""
    from prefect.exceptions import CancelledRun

    return isinstance(error, CancelledRun)


if __name__ == "__main__":
    main()
