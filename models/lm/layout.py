"""The layout of rows that a model needs, measured once when it is opened.

A model is run on a few random tokens: each row alone, as plain transformers code runs it, and in each layout. The first
layout that gives the same states is used; they are tried from the fastest to the plainest. No list of architectures
says which one it is, so a new architecture is computed right or refused. If shared rows fail, two models that can do
them are measured too, so that a fault of Andon's own code is not taken for a property of a model.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor
from transformers import GPT2Config, GPT2Model, MistralConfig, MistralModel, PreTrainedModel

from data.errors import Refused
from models.lm.head import embedded_tokens
from models.lm.masks import KINDS, Masks
from models.lm.precision import autocast, exact
from models.lm.rows import Decoder, Layout, Rows, decode, states_at_ends, states_of
from models.lm.tokens import pad_left

BOUND = 1e-4  # largest relative error of a state; rounding in fp32 is about 1e-6
DRIFT = 2e-5  # the same for a model's own cache, whose error may grow with every token
CONTEXTS, K, LENGTH = (12, 7), 2, 6  # tokens of the contexts, responses, tokens of a response
WINDOW = 5  # tokens, instead of a model's own window or chunk, which would be longer than these rows
WINDOWS = ("sliding_window", "attention_chunk_size")
OF_LAYERS = ("_layers", "_pattern")  # how settings end that count layers, also where they say "window"
SELECTED = "index_topk"  # a setting: how many tokens sparse attention selects, which is more than these rows have
KEPT = "_andon_layout"  # the attribute of a body that keeps its layout, also in copies of it


def layout_of(body: PreTrainedModel) -> Layout:
    """Return the layout of a body; raise Refused if there is none, so if no layout gives what plain code gives."""
    if (known := vars(body).get(KEPT)) is None:
        known = _measured(body)
        setattr(body, KEPT, known)
    assert isinstance(known, Layout)
    return known


def response_states(body: PreTrainedModel, contexts: Tensor, tokens: Tensor) -> Tensor:
    """Return the fp32 states [B, k, R, d] before each token of responses to contexts [B, C]."""
    with autocast(contexts.device):
        return states_of(body, layout_of(body), contexts, tokens).float()


def end_states(body: PreTrainedModel, contexts: Tensor, responses: Tensor) -> Tensor:
    """Return the fp32 states [B, k, d] at the last token of responses [B, k, R], padded right, to contexts [B, C]."""
    with autocast(contexts.device):
        return states_at_ends(body, layout_of(body), contexts, responses).float()


class Decoding:
    """Responses in the making, each token predicted from `state` [B, k, d]."""

    def __init__(self, body: PreTrainedModel, contexts: Tensor, k: int) -> None:
        with autocast(contexts.device):
            self._decoder: Decoder = decode(body, layout_of(body), contexts, k)

    @property
    def state(self) -> Tensor:
        return self._decoder.state

    def append(self, tokens: Tensor) -> None:
        with autocast(tokens.device):
            self._decoder.append(tokens)


@torch.no_grad()
def _measured(body: PreTrainedModel) -> Layout:
    contexts, tokens = _examples(body)
    with exact(), _short_windows(body):
        plain = _plain(body, contexts, tokens)
        for layout in _candidates(body, plain.shape[-1]):
            if _agrees(body, layout, contexts, tokens, plain):
                if layout.rows is not Rows.SHARED:
                    _check_controls()
                return layout
    raise Refused("its states in a batch are not those of single rows")


def _examples(body: PreTrainedModel) -> tuple[Tensor, Tensor]:
    """Draw contexts [B, C] and tokens [B, k, R] without special tokens, such as those that stand for an image."""
    config = body.config.get_text_config()
    special = {value for part in (body.config, config) for name, value in part.to_dict().items()
               if isinstance(value, int) and name.endswith(("_id", "_index"))}  # fmt: skip
    usual = torch.tensor([token for token in range(min(embedded_tokens(body), 512)) if token not in special])
    draw = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return usual[torch.randint(len(usual), shape, generator=draw)]

    most = max(getattr(config, "max_position_embeddings", None) or 0, 0) or sum((*CONTEXTS, LENGTH))
    lengths = [max(1, min(length, most - LENGTH)) for length in CONTEXTS]
    device = next(body.parameters()).device
    tokens = drawn(len(lengths), K, min(LENGTH, most - 1))
    return pad_left([drawn(length).tolist() for length in lengths]).to(device), tokens.to(device)


@contextmanager
def _short_windows(body: PreTrainedModel) -> Iterator[None]:
    """Shorten the windows of a model's attention, so that its masks show in short rows."""
    config: Any = body.config.get_text_config()
    before = {name: value for name in WINDOWS if isinstance(value := getattr(config, name, None), int)}
    for name, value in before.items():
        setattr(config, name, min(value, WINDOW))
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(config, name, value)


def _plain(body: PreTrainedModel, contexts: Tensor, tokens: Tensor) -> Tensor:
    """Return the states [B, k, R + 1, d] before each token and at the end, one row at a time, without padding or masks.

    Raises Refused if a state depends on the tokens behind it.
    """
    rows = []
    for context, responses in zip(contexts, tokens, strict=True):
        real = context[context >= 0]
        for response in responses:
            row = torch.cat([real, response])[None]
            hidden: Tensor = body(input_ids=row, use_cache=False).last_hidden_state[0]
            shorter: Tensor = body(input_ids=row[:, :-1], use_cache=False).last_hidden_state[0]
            if not _close(shorter, hidden[:-1]):
                raise Refused("its states depend on later tokens, so it is no causal language model")
            rows.append(hidden[len(real) - 1 :])
    together = torch.stack(rows)
    if not together.isfinite().all():
        raise Refused("its states are not finite")
    return together.view(*tokens.shape[:2], *together.shape[1:])


def _candidates(body: PreTrainedModel, size: int) -> Iterator[Layout]:
    """Yield layouts, the fastest first."""
    config = body.config.get_text_config()
    if not _counts_columns(config):
        if any(getattr(config, name, None) is not None for name in WINDOWS):
            # Only a model that lists its kinds of layers takes masks by kind.
            if getattr(config, "layer_types", None):
                yield Layout(Rows.SHARED, Masks.BY_KIND, size)
            if getattr(config, "sliding_window", None) is not None:
                yield Layout(Rows.SHARED, Masks.WINDOW, size)
        yield Layout(Rows.SHARED, Masks.ONE, size)
    if getattr(config, SELECTED, None) is None:
        yield Layout(Rows.SEPARATE, Masks.ONE, size)
    yield Layout(Rows.RECOMPUTED, Masks.ONE, size)


def _counts_columns(config: Any) -> bool:
    """Return whether layers may choose by the number of a column what they see, in rows longer than those measured."""
    if set(getattr(config, "layer_types", None) or ()) - KINDS:
        return True
    sizes = {name for name, value in config.to_dict().items() if type(value) is int and value > 0} - {*WINDOWS}
    return any("window" in name and not name.endswith(OF_LAYERS) for name in sizes)


def _agrees(body: PreTrainedModel, layout: Layout, contexts: Tensor, tokens: Tensor, plain: Tensor) -> bool:
    """Return whether training, scoring and sampling in a layout give the plain states; an error is a no."""
    try:
        if not _close(states_of(body, layout, contexts, tokens), plain[:, :, :-1]):
            return False
        if not _close(states_at_ends(body, layout, contexts, tokens), plain[:, :, -1]):
            return False
        decoder, states = decode(body, layout, contexts, tokens.shape[1]), []
        for column in tokens.unbind(-1):
            states.append(decoder.state)
            decoder.append(column)
        drift = DRIFT if layout.rows is Rows.SEPARATE else BOUND
        return _close(torch.stack([*states, decoder.state], 2), plain, drift)
    except torch.OutOfMemoryError:
        raise
    except Exception:  # whatever a library raises for a mask or a cache that it does not take
        return False


@cache
def _check_controls() -> None:
    """Raise Refused if shared rows fail for models that can do them, so if the fault is in Andon and not in a model."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sizes: dict[str, Any] = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
        sizes |= {"bos_token_id": 0, "eos_token_id": 0}
        plain = GPT2Model(GPT2Config(**sizes, n_positions=32, initializer_range=0.3))
        in_windows = MistralModel(
            MistralConfig(**sizes, num_key_value_heads=1, intermediate_size=16, sliding_window=8, initializer_range=0.3)
        )
    for control in (plain.eval(), in_windows.eval()):
        contexts, tokens = _examples(control)
        with _short_windows(control):
            expected = _plain(control, contexts, tokens)
            shared = [each for each in _candidates(control, expected.shape[-1]) if each.rows is Rows.SHARED]
            if not any(_agrees(control, layout, contexts, tokens, expected) for layout in shared):
                name = type(control).__name__
                raise Refused(f"Andon computes shared rows wrongly, also for a plain {name}: this is a fault of Andon")


def _close(states: Tensor, expected: Tensor, bound: float = BOUND) -> bool:
    error = (states.float() - expected).norm(dim=-1) / expected.norm(dim=-1).clamp(min=1e-12)
    return error.numel() == 0 or float(error.max()) <= bound
