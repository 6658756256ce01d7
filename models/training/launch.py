"""`accelerate launch -m` as a child of a flow, which ends when its parent ends.

If one of several processes fails, the command exits with its exit code, instead of with 1 and a traceback.
"""

import os
import sys

from accelerate.commands import launch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from models.training.termination import die_with_parent

SHUTDOWN_S = 3600  # a process limits its time itself; torch would kill it after 30 s, in the middle of a step

if __name__ == "__main__":
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(SHUTDOWN_S))
    die_with_parent()
    try:
        launch.main()
    except ChildFailedError as failed:
        sys.exit(failed.get_first_failure()[1].exitcode)
