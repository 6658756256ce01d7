"""Freed memory is kept by the process, because every step of a training allocates the same large blocks again."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # <malloc.h>


def keep_freed_memory() -> None:
    """Tell glibc not to return freed blocks to the system; without glibc do nothing.

    By default glibc maps and unmaps every large tensor, and the kernel clears each page again. This costs three million
    page faults in six updates of PPO on the embedded base, and a seventh of their time (docs/performance.md).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
