"""What both sides of a benchmark work on: GPT-2 shapes with random weights, and random tokens."""

import torch
from transformers import GPT2Config, GPT2LMHeadModel

VOCABULARY = 50_257
SHAPES = {"tiny": (4, 256, 4), "124m": (12, 768, 12), "774m": (36, 1280, 20)}  # layers, width, heads


def language_model(shape: str, activation: str = "gelu_new") -> GPT2LMHeadModel:
    """Return a model of this shape with random weights; `gelu_new` is what GPT-2's checkpoints name."""
    torch.manual_seed(0)
    layers, width, heads = SHAPES[shape]
    config = GPT2Config(
        n_layer=layers, n_embd=width, n_head=heads, vocab_size=VOCABULARY, activation_function=activation
    )
    return GPT2LMHeadModel(config)


def token_rows(count: int, length: int, seed: int = 0) -> list[list[int]]:
    draw = torch.Generator().manual_seed(seed)
    rows: list[list[int]] = torch.randint(1, VOCABULARY - 1, (count, length), generator=draw).tolist()
    return rows
