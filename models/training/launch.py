"""`accelerate launch -m` as a child of a flow, which ends when its parent ends.

If one of several processes fails, the command exits with its exit code, instead of with 1 and a traceback.
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
