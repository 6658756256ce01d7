"""Adam as TensorFlow computed it, from torch's Adam with a different epsilon at each step (docs/pitfalls.md, 31)."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from models.training.sharding import as_parts

EPSILON = 1e-5
BETAS = (0.9, 0.999)


class Adam:
    """The paper's optimizer: no weight decay, no clipping, no warm-up.

    TensorFlow adds epsilon before it corrects the second moment's bias, torch after. The two agree if torch's epsilon
    is 1e-5 / sqrt(1 - 0.999^t), which is 31 times larger at the first step. With torch's own epsilon, early steps are
    several times too large (Huang et al., "The N Implementation Details of RLHF with PPO").
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float) -> None:
        self.lr = lr
        self.steps = 0
        kinds: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])  # whole and sharded; a kernel takes one kind
        for parameter in parameters:
            kinds[isinstance(parameter, DTensor)].append(parameter)
        groups = [{"params": kind} for kind in kinds if kind]
        self.torch = torch.optim.Adam(groups, lr=lr, betas=BETAS, eps=EPSILON, fused=True)

    def step(self, remaining: float) -> None:
        """Take one step at `lr * remaining`, the linear decay to zero, and clear the gradients."""
        self.steps += 1
        for group in self.torch.param_groups:
            group["lr"] = self.lr * remaining
            group["eps"] = EPSILON / (1 - BETAS[1] ** self.steps) ** 0.5
        self.torch.step()
        self.torch.zero_grad(set_to_none=True)

    def moments(self, model: nn.Module) -> dict[str, dict[str, Tensor]]:
        """Return `exp_avg` and `exp_avg_sq` of every parameter that was stepped, by its name in the model."""
        state = self.torch.state
        return {
            name: {moment: state[parameter][moment] for moment in ("exp_avg", "exp_avg_sq")}
            for name, parameter in model.named_parameters()
            if parameter in state
        }

    def restore(self, model: nn.Module, moments: Mapping[str, Mapping[str, Tensor]], steps: int) -> None:
        """Continue after `steps` steps with these moments."""
        self.steps = steps
        for name, parameter in model.named_parameters():
            if name in moments:
                state = {moment: as_parts(tensor, parameter) for moment, tensor in moments[name].items()}
                step = torch.tensor(float(steps), device=parameter.device)
                self.torch.state[parameter] = {"step": step, **state}
