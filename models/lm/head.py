"""The head: from hidden states to logits, as the model itself computes them.

Let h be a state. Most models have the logits W h. Some add a bias b, some scale them (Cohere, Granite), some cap them
softly (Gemma 2): c * tanh(s * (W h + b) / c). Scale and cap are measured on the model's own logits when it is opened.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import linear
from transformers import PreTrainedModel

from data.errors import Refused
from models.lm.precision import exact

BOUND = 1e-5  # largest error of the model's own logits, relative to the largest of them
KEPT = "_andon_head"  # the attribute of a model that keeps its head, also in copies of it
CAPS = ("final_logit_softcapping", "logits_soft_cap", "logit_softcap", "output_logit_soft_cap")


@dataclass(frozen=True)
class Head:
    """Logits are scale * (W h + b), softly capped at `cap` if there is one."""

    scale: float
    cap: float | None


def head_of(model: PreTrainedModel) -> Head:
    """Return the head of a language model; raise Refused if its logits are none of its weights that Andon knows."""
    if (known := vars(model).get(KEPT)) is None:
        known = _measured(model)
        setattr(model, KEPT, known)
    assert isinstance(known, Head)
    return known


def weights_of(model: PreTrainedModel) -> tuple[Tensor, Tensor | None]:
    """Return W [V, d] and b [V], if there is one."""
    embeddings = model.get_output_embeddings()
    if embeddings is None:
        raise Refused("it has no output embeddings, so it is no causal language model")
    bias = getattr(embeddings, "bias", None)
    weight = embeddings.weight
    assert isinstance(weight, Tensor) and (bias is None or isinstance(bias, Tensor))
    return weight, bias


def logits(model: PreTrainedModel, states: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the fp32 logits [..., V] of states [..., d], divided by the temperature."""
    head, (weight, bias) = head_of(model), weights_of(model)
    hotter = temperature / head.scale
    scores = linear(states.float() / hotter, weight, None if bias is None else bias / hotter)
    return scores if head.cap is None else soft_cap(scores, head.cap / temperature)


def soft_cap(scores: Tensor, cap: float) -> Tensor:
    return cap * torch.tanh(scores / cap)


@torch.no_grad()
def _measured(model: PreTrainedModel) -> Head:
    """Compare the model's own logits of a few tokens with those of its weights."""
    tokens = torch.arange(min(embedded_tokens(model), 512))[-8:][None].to(next(model.parameters()).device)
    config = model.config.get_text_config()
    cap = next((float(value) for name in CAPS if (value := getattr(config, name, None))), None)
    weight, bias = weights_of(model)
    with exact():
        states = body_of(model)(input_ids=tokens, use_cache=False).last_hidden_state[0].float()
        own = model(input_ids=tokens, use_cache=False).logits[0].float()
        plain = linear(states, weight, bias)
        if own.shape != plain.shape:
            raise Refused(f"it has logits for {own.shape[-1]:,} tokens, and its head has {plain.shape[-1]:,}")
        linear_part = own if cap is None else cap * torch.atanh((own / cap).clamp(-1 + 1e-6, 1 - 1e-6))
        plain_, linear_ = plain.double().flatten(), linear_part.double().flatten()
        scale = _rounded(float(plain_ @ linear_ / (plain_ @ plain_)))
        head = Head(scale, cap)
        again = plain * scale if cap is None else soft_cap(plain * scale, cap)
    error = float((again - own).abs().max() / own.abs().max().clamp(min=1e-12))
    if not error <= BOUND:
        raise Refused(f"its logits are not those of its head: they differ by {error:.1e} of the largest")
    return head


def body_of(model: PreTrainedModel) -> PreTrainedModel:
    """Return the transformer without its language-model head."""
    inner = model.base_model
    if inner is model and model.get_output_embeddings() is not None:  # its class names another attribute than it has
        inner = next((child for child in model.children() if isinstance(child, PreTrainedModel)), model)
    assert isinstance(inner, PreTrainedModel)
    return inner


def embedded_tokens(model: PreTrainedModel) -> int:
    """Return how many tokens a model can read."""
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, Tensor)
    return len(weight)


def _rounded(scale: float) -> float:
    """Return a measured scale without the rounding of fp32: 1 for nearly all models."""
    return float(f"{scale:.7g}")
