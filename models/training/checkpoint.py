"""The state of a training as tensors and JSON, from which a killed process continues to the same result, bit by bit.

Random numbers and the data cursor are functions of seed and step. The state contains the rest: the weights, the moments
of Adam, the KL coefficient and the metrics so far. Files are safetensors and JSON, never pickle, which runs code.
A state with a number that is not finite is never saved: a training that diverged continues from the last finite state.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from data.errors import Stopped, StoreUnreachable
from data.runs.checkpoints import Checkpoints
from models.training import termination
from models.training.adam import Adam
from models.training.processes import processes
from models.training.sharding import as_parts, full


def save_state(
    checkpoints: Checkpoints | None,
    step: int,
    model: nn.Module,
    optimizer: Adam,
    facts: dict[str, Any],
    now: bool = False,
) -> None:
    """Publish the state after `step` steps if a checkpoint is due, or `now`, or a signal asked the process to save.

    `facts` is the rest of the state, as JSON. A state that is not finite is not saved. After a signal, the
    process exits.
    """
    leaving = bool(processes().broadcast(termination.stop_requested())) and not now  # all at the same step
    if checkpoints is None or not (now or leaving or checkpoints.due(step)):
        return
    tensors: dict[str, Tensor] = {f"model.{name}": parameter for name, parameter in model.named_parameters()}
    for name, moments in optimizer.moments(model).items():
        tensors |= {f"{moment}.{name}": tensor for moment, tensor in moments.items()}
    state = {name: full(tensor.detach()).cpu().contiguous() for name, tensor in tensors.items()}
    facts = {"optimizer_steps": optimizer.steps, "loss_scale": optimizer.loss_scale, **facts}
    if is_finite(facts) and all(bool(tensor.isfinite().all()) for tensor in state.values()):
        with tempfile.TemporaryDirectory() as scratch:
            weights, rest = Path(scratch) / "state.safetensors", Path(scratch) / "state.json"
            save_file(state, weights)
            rest.write_text(json.dumps(facts, allow_nan=False), "utf-8")
            checkpoints.save(step, {path.name: path for path in (weights, rest)})
    if leaving:
        termination.exit_saved()


def is_finite(facts: Any) -> bool:
    """Return whether all numbers in a JSON document are finite."""
    if isinstance(facts, dict):
        return all(map(is_finite, facts.values()))
    return all(map(is_finite, facts)) if isinstance(facts, list) else not isinstance(facts, float) or isfinite(facts)


@contextmanager
def save_when_stopped(
    checkpoints: Checkpoints | None, step: int, model: nn.Module, optimizer: Adam, facts: dict[str, Any]
) -> Iterator[None]:
    """Save the state after `step` steps if the line stops inside. The code inside must not change the state."""
    try:
        yield
    except (Stopped, StoreUnreachable):
        save_state(checkpoints, step, model, optimizer, facts, now=True)
        raise


@torch.no_grad()
def restore_state(checkpoints: Checkpoints | None, model: nn.Module, optimizer: Adam) -> tuple[int, dict[str, Any]]:
    """Restore the last saved state of model and optimizer; return its step, 0 if there is none, and its facts."""
    latest = None if checkpoints is None else checkpoints.latest()
    if latest is None:
        return 0, {}
    step, published = latest
    tensors = load_file(published.path("state.safetensors"))
    for name, parameter in model.named_parameters():
        parameter.copy_(as_parts(tensors[f"model.{name}"], parameter))
    facts = json.loads(published.path("state.json").read_text("utf-8"))
    moments = {
        name: {moment: tensors[f"{moment}.{name}"] for moment in ("exp_avg", "exp_avg_sq")}
        for name, _ in model.named_parameters()
        if f"exp_avg.{name}" in tensors
    }
    optimizer.restore(model, moments, facts.pop("optimizer_steps"), facts.pop("loss_scale", None))
    return step, facts
