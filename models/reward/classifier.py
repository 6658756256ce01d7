"""A reward model as a sequence classifier of transformers, so that others can load it.

The classifier has one label, whose logit is the score. Andon's score is g (w . h + b) + c, and the head of a classifier
has no bias. So its weight is g w, and the rest r = g b + c goes into the bias of the final layer norm: the shift
r g w / |g w|^2 of the state h adds r to the score. A model whose final norm has no bias (RMSNorm) cannot have r, so its
card says what to add.
"""

import copy
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PretrainedConfig, PreTrainedModel

from models.training.sharding import blocks


class Saved(NamedTuple):
    """What a saved classifier is, compared with the reward model."""

    exists: bool  # whether transformers has a sequence classifier for this architecture
    lacks: float  # what must be added to its logit to get the score
    own: dict[str, Tensor]  # tensors of the reward model that its body was saved without


@torch.no_grad()
def save_classifier(body: PreTrainedModel, weight: Tensor, rest: Tensor, padding: int | None, folder: Path) -> Saved:
    """Write the classifier of a body with the head weight [1, d], or the body alone if there is no such classifier.

    `padding` is a token at which no response ends; without one, a batch of the classifier has one row.
    """
    model = _empty(body.config, weight.shape[-1], padding)
    if model is None:
        body.save_pretrained(folder, safe_serialization=True)
        return Saved(False, float(rest), {})
    setattr(model, model.base_model_prefix, body)
    (head,) = _heads(model)
    head.weight = nn.Parameter(weight, requires_grad=False)
    name, bias = _final_bias(body)
    if bias is None:
        model.save_pretrained(folder, safe_serialization=True)
        return Saved(True, float(rest), {})
    own = bias.clone()
    bias.add_(rest / weight.square().sum() * weight[0])
    model.save_pretrained(folder, safe_serialization=True)
    bias.copy_(own)
    return Saved(True, 0.0, {f"body.{name}": own})


def _final_bias(body: PreTrainedModel) -> tuple[str, nn.Parameter | None]:
    """Return the bias of the norm behind all blocks, which is added to hidden states as it is, and its name."""
    inside = {id(module) for block in blocks(body) for module in block.modules()}
    tokens = torch.arange(4, device=body.device)[None]
    before = body(input_ids=tokens, use_cache=False).last_hidden_state
    for name, module in body.named_modules():
        bias = getattr(module, "bias", None)
        if "norm" not in type(module).__name__.lower() or not isinstance(bias, nn.Parameter) or id(module) in inside:
            continue
        own = bias.clone()
        bias.add_(1)
        shift = body(input_ids=tokens, use_cache=False).last_hidden_state - before
        bias.copy_(own)
        if bias.shape == before.shape[-1:] and float((shift - 1).abs().max()) < 1e-3:
            return f"{name}.bias", bias
    return "", None


def _empty(config: PretrainedConfig, size: int, padding: int | None) -> PreTrainedModel | None:
    """Return the classifier of an architecture, without weights; None if there is none with one linear head."""
    config = copy.deepcopy(config)
    config.num_labels, config.problem_type, config.pad_token_id = 1, "regression", padding
    try:
        with torch.device("meta"):
            model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config, trust_remote_code=False)
    except ValueError:
        return None
    fits = [isinstance(head, nn.Linear) and head.weight.shape == (1, size) for head in _heads(model)]
    return model.eval() if fits == [True] else None


def _heads(model: PreTrainedModel) -> list[nn.Module]:
    """Return the modules of a classifier that have parameters and are no part of its body."""
    named = [(name, module) for name, module in model.named_modules() if name.split(".")[0] != model.base_model_prefix]
    return [module for name, module in named if name and any(True for _ in module.parameters(recurse=False))]
