"""Memory that is freed is kept: every step of a training asks for the same large blocks again."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # <malloc.h>


def keep_freed_memory() -> None:
    """Tell glibc not to hand freed blocks back to the system; elsewhere do nothing.

    By default it maps and unmaps every large tensor, and the kernel clears each page anew: three million page faults
    in six updates of PPO on the embedded base, and a seventh of their time (docs/performance.md).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
