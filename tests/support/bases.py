"""Tiny random bases of several architectures, with weights spread out so that an error in the formulas shows."""

from pathlib import Path
from typing import Any

import torch
from tokenizers.processors import TemplateProcessing
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from data.campaign import Campaign, load_campaign
from models.lm.base import EMBEDDED

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 128,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
    "initializer_range": 0.2,
}
LINEAR: dict[str, Any] = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
BEGINNING = "gpt2 with BOS"  # the tokenizer puts a token before every text
KINDS: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 128, "initializer_range": 0.2},
    BEGINNING: {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 128, "initializer_range": 0.2},
    "phi": {},
    "granite": {"logits_scaling": 8.0},
    "gemma2": {"final_logit_softcapping": 2.0, "sliding_window": 64},
    "mistral": {"sliding_window": 8},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "qwen3_5_text": {**LINEAR, "layer_types": ["linear_attention", "full_attention"]},
}


def write_base(kind: str, folder: Path) -> None:
    """Write a tiny random checkpoint of an architecture with the embedded tokenizer."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED, trust_remote_code=False)
    if kind == BEGINNING:
        before = {"single": "<|endoftext|> $A", "special_tokens": [("<|endoftext|>", 0)]}
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(**before)
    name = kind.split()[0]
    config = AutoConfig.for_model(name, vocab_size=len(tokenizer), **(SIZES if name != "gpt2" else {}) | KINDS[kind])
    model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if weights.ndim == 1:  # norms and biases off their defaults
                weights.add_(0.3 * torch.randn_like(weights))
            elif "embed" in name or "lm_head" in name or "wte" in name:
                weights.mul_(2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def short_campaign(base: Path, queries: Path) -> Campaign:
    """Return a campaign of short queries and responses on a base."""
    text = {"queries": str(queries), "query_tokens": 24, "response_tokens": 10, "truncate_after": 1}
    return load_campaign("sentiment", changes={"base": str(base), "text": text})
