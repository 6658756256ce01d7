"""What Linux leaves to this process: the cores of its affinity, and the limits of its control groups (v2 and v1).

A container sees the cores and the memory of its host. Its limits are in files of the control groups only, and each
group above its own may have a lower limit.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

GROUPS, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def cores(groups: Path = GROUPS, own: Path = OWN) -> int:
    """Return the number of cores that this process may use: those of its affinity, or of a lower quota, rounded up."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [(_read(folder / "cpu.max") or "max 1").split() for folder in _folders("", groups, own)]
    for folder in _folders("cpu", groups, own):
        quotas.append([_read(folder / f"cpu.cfs_{part}_us") or "-1" for part in ("quota", "period")])
    limits = [math.ceil(int(quota) / int(period)) for quota, period in quotas if quota not in ("max", "-1")]
    return max(1, min([allowed, *limits]))


def free_memory(groups: Path = GROUPS, own: Path = OWN) -> int | None:
    """Return the bytes that this process can still allocate by its control groups; None if they set no limit."""
    left = []
    for controller, limit, used in (
        ("", "memory.max", "memory.current"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        for folder in _folders(controller, groups, own):
            most, now = _read(folder / limit), _read(folder / used)
            if most and now and most != "max":
                left.append(max(0, int(most) - int(now) + _reclaimable(folder)))
    return min(left, default=None)


def _folders(controller: str, groups: Path, own: Path) -> Iterator[Path]:
    """Yield the folders of this process's group and of those above it: of a controller of v1, or of v2 with ""."""
    for line in (_read(own) or "").splitlines():
        _, names, path = line.split(":", 2)
        if controller not in names.split(","):
            continue
        top = groups / controller
        place = top / path.strip("/")
        yield place
        yield from (folder for folder in place.parents if folder.is_relative_to(top))


def _reclaimable(folder: Path) -> int:
    """Return the bytes of cached files, which count as used but are given up when memory is needed."""
    for line in (_read(folder / "memory.stat") or "").splitlines():
        name, _, size = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file"):
            return int(size)
    return 0


def _read(file: Path) -> str | None:
    try:
        return file.read_text("ascii").strip()
    except OSError:
        return None
