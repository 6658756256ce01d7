"""The zoo: a tiny random model of each type of causal language model that transformers knows.

A configuration is made from the fields of its class, with sizes of a test, so that a new type needs no line here. Its
weights, biases and norms are random, its windows are shorter than the rows. OWN has what a type needs besides.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from data.campaign import load_campaign
from data.campaign.queries import load_queries
from data.errors import Refused
from models.lm.base import EMBEDDED, Base, open_base
from models.lm.head import body_of
from models.lm.layout import layout_of
from models.lm.logprobs import response_logprobs
from models.lm.precision import exact
from models.lm.sampling import draw_noise, sample
from models.lm.tokens import pad_left
from models.ppo.policy import PolicyModel
from models.reward.model import RewardModel, load_reward_model, new_reward_model

BOUND = 1e-4  # nats a token, of a score in its own unit
QUERIES, K, TEMPERATURE = (40, 23, 5, 1), 3, 0.7  # tokens of the queries, responses to each
RULES = load_campaign("sentiment").text.model_copy(update={"response_tokens": 12, "temperature": TEMPERATURE})
TYPES = tuple(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
VOCABULARY, WINDOW, EXPERTS = 300, 16, 4
# Sizes by the name of the field; each type has some of these fields.
SIZES: dict[str, Any] = {
    **dict.fromkeys(("vocab_size", "vocab_size_per_layer_input", "decoder_vocab_size"), VOCABULARY),
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "emb_dim", "dim", "embedding_dim", "embedding_size"), 64),
    **dict.fromkeys(("input_embedding_size", "output_embedding_size", "word_embed_proj_dim"), 64),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_blocks"), 4),
    **dict.fromkeys(("decoder_layers", "num_decoder_layers"), 4),
    **dict.fromkeys(("encoder_layers", "num_encoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads"), 4),
    **dict.fromkeys(("decoder_attention_heads", "encoder_attention_heads", "swa_num_attention_heads"), 4),
    **dict.fromkeys(("num_encoder_attention_heads", "num_decoder_attention_heads", "linear_num_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_global_key_value_heads", "swa_num_key_value_heads"), 2),
    **dict.fromkeys(("head_dim", "swa_head_dim", "kv_channels", "dim_head", "attention_head_size", "d_head"), 16),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "n_inner", "dff", "dim_ff", "d_inner", "feed_forward_size"), 96),
    **dict.fromkeys(("decoder_ffn_dim", "encoder_ffn_dim", "ffn_hidden_size", "intermediate_size_mlp"), 96),
    **dict.fromkeys(("dense_intermediate_size", "shared_intermediate_size", "prefix_dense_intermediate_size"), 96),
    **dict.fromkeys(("moe_intermediate_size", "expert_ffn_hidden_size", "shared_expert_intermediate_size"), 32),
    **dict.fromkeys(("moe_shared_expert_intermediate_size", "shared_experts_intermediate_size"), 32),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), EXPERTS),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "top_k_experts"), 2),
    **dict.fromkeys(("n_shared_experts", "num_shared_experts", "moe_num_shared_experts"), 1),
    **dict.fromkeys(("n_group", "topk_group", "num_expert_group", "num_dense_layers", "first_k_dense_replace"), 1),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "context_length"), 128),
    **dict.fromkeys(("max_target_positions", "original_max_position_embeddings"), 128),
    **dict.fromkeys(("sliding_window", "attention_chunk_size", "attention_window_size", "window_size"), WINDOW),
    **dict.fromkeys(("sliding_window_size", "local_attention", "keep_window_size", "rel_extent"), WINDOW),
    **dict.fromkeys(("initializer_range", "init_std", "embed_init_std"), 0.15),
    **dict.fromkeys(("kv_lora_rank", "v_head_dim", "index_head_dim", "lru_width_per_head"), 16),
    **dict.fromkeys(("q_lora_rank", "o_lora_rank"), 24),
    **dict.fromkeys(("qk_rope_head_dim", "qk_nope_head_dim", "rotary_dim", "hidden_size_per_layer_input"), 8),
    **dict.fromkeys(("linear_num_key_heads", "index_n_heads"), 2),
    **dict.fromkeys(("linear_num_value_heads",), 4),
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim", "linear_head_dim", "mamba_head_dim"), 16),
    **dict.fromkeys(("mamba_n_heads", "mamba_num_heads"), 8),
    **dict.fromkeys(("mamba_d_head", "mamba_d_state", "ssm_state_size", "state_size"), 16),
    **dict.fromkeys(("mamba_chunk_size", "chunk_size"), 8),
    **dict.fromkeys(("lru_width", "attention_hidden_size"), 64),
    **dict.fromkeys(("image_size",), 32),
    **dict.fromkeys(("patch_size",), 16),
    "index_topk": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
# What single types need besides, or have otherwise.
HYBRID = ["linear_attention", "full_attention"] * 2
WINDOWS = ["sliding_attention", "full_attention"] * 2
PLE = {"hidden_size_per_layer_input": 8}
LATE_KEYS = {"layer_types": WINDOWS, "num_kv_shared_layers": 2}
GEMMA_4 = {"layer_types": WINDOWS, "global_head_dim": 32, "num_global_key_value_heads": 2}
DOTS_3 = {"num_key_value_heads": 4, "per_layer_config": {}}
QWEN_4 = {"indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 16, "indexer_budget": 128}
QWEN_4 |= {"indexer_compress_ratio": 4, "output_gate_type": "sigmoid"}
ASSISTANT = {"hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": 0, "layer_types": WINDOWS}
ROPE_BY_KIND = {kind: {"rope_type": "default", "rope_theta": 10_000.0} for kind in WINDOWS}
OWN: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1, 3], "mamba_d_head": 16},
    "cohere": {"logit_scale": 0.0625},
    "cohere_compass_text": {"layer_types": WINDOWS, "rope_parameters": ROPE_BY_KIND},
    "dbrx": {"attn_config": {"rope_theta": 10_000.0}, "ffn_config": {"ffn_hidden_size": 96, "moe_num_experts": 4}},
    "dots3_note": {"text_config": DOTS_3, "vision_config": {"per_layer_config": {}, "mlp_layer_types": ["dense"] * 4, "adapter_in_dim": 64}},
    "dots3_note_text": DOTS_3,
    "falcon_h1": {"mamba_d_ssm": 128},
    "gemma3n_text": LATE_KEYS | PLE,
    "gemma4": {"text_config": GEMMA_4},
    "gemma4_assistant": {"text_config": GEMMA_4 | ASSISTANT},
    "gemma4_text": GEMMA_4,
    "gemma4_unified": {"text_config": GEMMA_4},
    "gemma4_unified_text": GEMMA_4,
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "granite": {"logits_scaling": 8.0},
    "granitemoehybrid": {"layer_types": HYBRID, "mamba_d_head": 16},
    "inkling2_text": {"unpadded_vocab_size": VOCABULARY},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "longcat_flash": {"zero_expert_num": 2},
    "mamba2": {"num_heads": 8},
    "qwen2": {"use_sliding_window": True, "max_window_layers": 2},
    "qwen4_exp": {"text_config": QWEN_4},
    "qwen4_exp_text": QWEN_4,
    "reformer": {"is_decoder": True, "axial_pos_embds_dim": (16, 48), "axial_pos_shape": (8, 16)},
    "zamba": {"layers_block_type": ["linear_attention", "hybrid"] * 2},
    "zamba2": {"layers_block_type": ["linear_attention", "hybrid"] * 2},
    "zaya": {"num_experts_per_tok": 1},
}


def write_model(kind: str, tokenizer: PreTrainedTokenizerFast, folder: Path) -> PreTrainedModel:
    """Save a tiny random model of a type as a checkpoint with a tokenizer, and return it."""
    torch.manual_seed(0)
    config = tiny_config(CONFIG_MAPPING[kind], OWN.get(kind, {}))
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=False)
    model.eval().requires_grad_(False)
    shift(model)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


def tiny_config(config_class: Any, own: dict[str, Any]) -> Any:
    """Return a configuration of a class, with the configurations inside it; every kind of layer of the type occurs."""
    names = {field.name for field in dataclasses.fields(config_class)}
    parts = {name: part for name, part in config_class.sub_configs_defaults.items() if name in own or not part.optional}
    values = {name: value for name, value in SIZES.items() if name in names}
    values |= {name: value for name, value in own.items() if name not in parts}
    for name, part in parts.items():
        inner = CONFIG_MAPPING[part.model_type] if part.config_class is AutoConfig else part.config_class
        values[name] = tiny_config(inner, own.get(name, {}))
    config = config_class(**values)
    if "layer_types" in names - own.keys():
        kinds = list(dict.fromkeys(config_class().layer_types or []))
        if set(kinds) - set(config.layer_types or []):
            config = config_class(**values | {"layer_types": [kinds[i % len(kinds)] for i in range(4)]})
    return config


@torch.no_grad()
def shift(model: PreTrainedModel) -> None:
    """Move biases and norms off the values that a new model has."""
    draw = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter += 0.1 * torch.randn(parameter.shape, generator=draw)
    for name, buffer in model.named_buffers():
        if name.endswith("bias") and buffer.is_floating_point():
            buffer += 0.1 * torch.randn(buffer.shape, generator=draw)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What Andon's numbers are for a model, against those of plain code of transformers."""

    kind: str
    error: float | None = None  # largest of a log-prob, in nats, or of a score
    where: str = ""  # what has the largest error
    rows: str = ""
    attention: str = ""
    refusal: str = ""
    traceback: str = ""

    @property
    def right(self) -> bool:
        return self.error is not None and self.error <= BOUND


class Plain:
    """A model as transformers computes it: one row at a time, without padding, mask or cache."""

    def __init__(self, model: PreTrainedModel, queries: Sequence[Sequence[int]], tokens: Tensor) -> None:
        self._rows = [[torch.tensor([[*query, *each.tolist()]]) for each in responses]
                      for query, responses in zip(queries, tokens, strict=True)]  # fmt: skip
        self._model, self._tokens = model, tokens

    @torch.no_grad()
    def logprobs(self) -> Tensor:
        """Return the log-probs [B, k, R] of the responses."""
        length = self._tokens.shape[-1]
        return torch.stack([
            torch.stack([
                (self._model(input_ids=row, use_cache=False).logits[0, -length - 1 : -1].float() / TEMPERATURE)
                .log_softmax(-1).gather(1, row[0, -length:, None])[:, 0]
                for row in rows
            ])
            for rows in self._rows
        ])  # fmt: skip

    @torch.no_grad()
    def scores(self, reward: RewardModel) -> Tensor:
        """Return the scores [B, k] of the responses by the head of a reward model."""
        body = self._model.base_model
        ends = [[body(input_ids=row, use_cache=False).last_hidden_state[0, -1] for row in rows] for rows in self._rows]
        states = torch.stack([torch.stack(each) for each in ends])
        return reward.gain * reward.head(states).squeeze(-1) + reward.bias


def judge(kind: str, tokenizer: PreTrainedTokenizerFast, folder: Path) -> Verdict:
    """Build a model of a type, open it as a base, and compare."""
    own = write_model(kind, tokenizer, folder / "base")
    try:
        base = open_base(str(folder / "base"))
    except Refused as refusal:
        return Verdict(kind, refusal=str(refusal))
    with exact():
        return _compared(kind, own, base, folder)


def _compared(kind: str, own: PreTrainedModel, base: Base, folder: Path) -> Verdict:
    draw = torch.Generator().manual_seed(2)
    queries = [torch.randint(3, VOCABULARY, (length,), generator=draw).tolist() for length in QUERIES]
    contexts, model = pad_left(queries), base.model
    sampled = sample(model, contexts, draw_noise(len(queries), K, RULES, draw), RULES)
    plain = Plain(own, queries, sampled.tokens)
    expected = plain.logprobs()
    policy, reward = PolicyModel(model), new_reward_model(model, 0)
    trained, _, _ = policy(contexts, sampled.tokens, TEMPERATURE)
    trained.sum().backward()
    reward.save(folder / "reward")
    scores = plain.scores(reward)
    differences = {
        "training": response_logprobs(model, contexts, sampled.tokens, TEMPERATURE, 2) - expected,
        "policy": trained.detach() - expected,
        "sampling": sampled.logprobs - expected,
        "scores": reward(contexts, sampled.tokens).detach() - scores,
        "scores of a saved model": load_reward_model(folder / "reward")(contexts, sampled.tokens) - scores,
    }
    worst = max(differences, key=lambda name: float(differences[name].abs().nan_to_num(nan=float("inf")).max()))
    layout, config = layout_of(body_of(model)), model.config.get_text_config()
    return Verdict(
        kind,
        error=float(differences[worst].abs().nan_to_num(nan=float("inf")).max()),
        where=worst,
        rows=f"{layout.rows}, {layout.masks}",
        attention=str(config._attn_implementation),
    )


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of VOCABULARY tokens, trained on the queries of a campaign."""
    texts = [query.text for query in load_queries(load_campaign("sentiment").text, "test")[:100]]
    embedded: Any = AutoTokenizer.from_pretrained(EMBEDDED, trust_remote_code=False)
    tokenizer: PreTrainedTokenizerFast = embedded.train_new_from_iterator(texts, vocab_size=VOCABULARY)
    return tokenizer
