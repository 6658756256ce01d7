"""Says that models run on the processor although the machine has a GPU, and refuses to if a GPU is required."""

import functools
import os
from pathlib import Path

import torch

from data.console import say
from data.errors import Refused

REQUIRED = "ANDON_REQUIRE_GPU"  # set in the image for GPUs
DRIVER = (Path("/proc/driver/nvidia/version"), Path("/dev/nvidiactl"))


@functools.cache
def check_processor() -> None:
    """Before models run on the processor: raise Refused if a GPU is required, or say in one line why none is used."""
    required = os.environ.get(REQUIRED, "") not in ("", "0")
    if not required and not has_driver():
        return
    cuda = torch.version.cuda
    reason = (
        f"torch {torch.__version__} was built without CUDA; install a build with CUDA"
        if cuda is None
        else f"torch {torch.__version__} needs a driver for CUDA {cuda} and a GPU that this process may use; "
        "nvidia-smi shows both"
    )
    if required:
        raise Refused(f"No GPU can be used, and {REQUIRED} asks for one: {reason}, or unset {REQUIRED}.")
    say(f"WARNING: this machine has an NVIDIA driver, but models run on the processor, which is slow: {reason}.")


def has_driver() -> bool:
    """Tell whether an NVIDIA driver is visible, or the container was started with GPUs."""
    given = os.environ.get("NVIDIA_VISIBLE_DEVICES", "none")
    return any(path.exists() for path in DRIVER) or given not in ("", "none", "void", "all")
