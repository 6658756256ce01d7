"""`accelerate launch -m` as a child of a flow: the same command, which goes when its parent goes.

Where one of several processes fails, its exit code is the command's, not the launcher's 1 and a traceback about it.
"""

import sys

from accelerate.commands import launch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from models.training.termination import die_with_parent

if __name__ == "__main__":
    die_with_parent()
    try:
        launch.main()
    except ChildFailedError as failed:
        sys.exit(failed.get_first_failure()[1].exitcode)
