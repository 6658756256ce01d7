"""Adam as TensorFlow computed it, from torch's Adam with a different epsilon at each step (docs/pitfalls.md, 31).

In fp16 the loss is multiplied by a power of two before its gradient is taken, because fp16 has no numbers below 6e-8.
The gradients are divided by it before a step. If one is infinite, the step is skipped and the scale is halved.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from models.training.processes import processes
from models.training.sharding import as_parts

EPSILON = 1e-5
BETAS = (0.9, 0.999)


class Adam:
    """The paper's optimizer: no weight decay, no clipping, no warm-up.

    TensorFlow adds epsilon before it corrects the second moment's bias, torch after. The two agree if torch's epsilon
    is 1e-5 / sqrt(1 - 0.999^t), which is 31 times larger at the first step. With torch's own epsilon, early steps are
    several times too large (Huang et al., "The N Implementation Details of RLHF with PPO").
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, loss_scale: float = 1.0) -> None:
        self.lr = lr
        self.steps = 0
        kinds: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])  # whole and sharded; a kernel takes one kind
        for parameter in parameters:
            kinds[isinstance(parameter, DTensor)].append(parameter)
        groups = [{"params": kind} for kind in kinds if kind]
        self.torch = torch.optim.Adam(groups, lr=lr, betas=BETAS, eps=EPSILON, fused=True)
        self.loss_scale = loss_scale

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a loss, times the loss scale."""
        (loss if self.loss_scale == 1 else loss * self.loss_scale).backward()

    def step(self, remaining: float) -> None:
        """Take one step at `lr * remaining`, the linear decay to zero, and clear the gradients."""
        if self.loss_scale > 1 and not self._unscaled():
            self.loss_scale /= 2
            return self.torch.zero_grad(set_to_none=True)
        self.steps += 1
        for group in self.torch.param_groups:
            group["lr"] = self.lr * remaining
            group["eps"] = EPSILON / (1 - BETAS[1] ** self.steps) ** 0.5
        self.torch.step()
        self.torch.zero_grad(set_to_none=True)

    def _unscaled(self) -> bool:
        """Divide all gradients by the loss scale; return whether they are finite in all processes."""
        finite = []
        for group in self.torch.param_groups:
            for gradient in (parameter.grad for parameter in group["params"] if parameter.grad is not None):
                gradient.div_(self.loss_scale)
                finite.append((gradient.to_local() if isinstance(gradient, DTensor) else gradient).isfinite().all())
        return bool(processes().gather(torch.stack(finite).all()[None].float()).all())

    def moments(self, model: nn.Module) -> dict[str, dict[str, Tensor]]:
        """Return `exp_avg` and `exp_avg_sq` of every parameter that was stepped, by its name in the model."""
        state = self.torch.state
        return {
            name: {moment: state[parameter][moment] for moment in ("exp_avg", "exp_avg_sq")}
            for name, parameter in model.named_parameters()
            if parameter in state
        }

    def restore(
        self, model: nn.Module, moments: Mapping[str, Mapping[str, Tensor]], steps: int, loss_scale: float | None
    ) -> None:
        """Continue after `steps` steps with these moments, and with this loss scale if one was saved."""
        self.steps = steps
        self.loss_scale = self.loss_scale if loss_scale is None else loss_scale
        for name, parameter in model.named_parameters():
            if name in moments:
                state = {moment: as_parts(tensor, parameter) for moment, tensor in moments[name].items()}
                step = torch.tensor(float(steps), device=parameter.device)
                self.torch.state[parameter] = {"step": step, **state}
