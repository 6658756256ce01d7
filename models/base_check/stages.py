"""The stages of a base check: what each finds, how long it takes, and how much memory it needs at most."""

import errno
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from data.base_check.facts import CheckCode, Comparison, Stage
from data.errors import Refused, out_of_memory
from models.lm.checkpoint_folder import reading

BOUND = 1e-4  # nats a token in fp32; a bug that a label would pay for changes more, rounding a hundredth of it


class Findings:
    """Collects the comparisons and the stages of one check."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.comparisons: list[Comparison] = []
        self.stages: list[Stage] = []

    def add(self, code: CheckCode, error: float, bound: float = BOUND) -> None:
        """Record a comparison. An error that is not finite is a finding."""
        finite = error == error and abs(error) != float("inf")
        self.comparisons.append(Comparison(code=code, error=error if finite else None, bound=bound, detail=""))

    @contextmanager
    def stage(self, name: str, *codes: CheckCode) -> Iterator[None]:
        """Measure a stage. If a library raises an error, the comparison that did not end is a finding."""
        _reset_peak(self.device)
        began = time.perf_counter()
        try:
            with reading(name):
                yield
        except Refused as refusal:
            if _is_of_machine(refusal.__cause__):
                raise Refused(
                    f"The check of the base needs more memory or disk space than this machine has ({refusal}). Free "
                    "some, or use a larger machine."
                ) from refusal
            made = {comparison["code"] for comparison in self.comparisons}
            code = next((code for code in codes if code not in made), codes[-1])
            self.comparisons.append(Comparison(code=code, error=None, bound=BOUND, detail=str(refusal)))
        seconds = time.perf_counter() - began
        self.stages.append(Stage(name=name, seconds=round(seconds, 3), peak_bytes=_peak(self.device)))


def _is_of_machine(error: BaseException | None) -> bool:
    """Tell whether the machine, and not the base, is the cause of an error: no memory, or no disk space."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM)
    return error is not None and out_of_memory(error)


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with suppress(OSError):  # Linux can forget the peak of a process; elsewhere it is the peak so far
            Path("/proc/self/clear_refs").write_text("5")


def _peak(device: torch.device) -> int:
    """Return the peak memory since the last reset: of torch on a GPU, of the process elsewhere."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
