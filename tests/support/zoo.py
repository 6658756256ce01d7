"""The zoo: a tiny random model of each type of causal language model that transformers knows.

A configuration is made from the fields of its class, with sizes of a test, so that a new type needs no line here. Its
weights, biases and norms are random, its windows are shorter than the rows. OWN has what a type needs besides.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from data.campaign import load_campaign
from data.campaign.queries import load_queries
from data.errors import Refused
from models.lm.base import EMBEDDED, open_base
from models.lm.head import body_of
from models.lm.layout import layout_of
from models.lm.logprobs import response_logprobs
from models.lm.masks import Masks
from models.lm.precision import exact
from models.lm.sampling import draw_noise, sample
from models.lm.tokens import pad_left
from models.ppo.policy import PolicyModel
from models.reward.model import RewardModel, load_reward_model, new_reward_model

BOUND = 1e-4  # nats a token, of a score in its own unit
TEMPERATURE = 0.7
RULES = load_campaign("sentiment").text.model_copy(update={"temperature": TEMPERATURE})
TYPES = tuple(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
VOCABULARY, WINDOW, EXPERTS = 300, 30, 4
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
    **dict.fromkeys(("linear_num_key_heads",), 2),
    **dict.fromkeys(("linear_num_value_heads",), 4),
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim", "linear_head_dim", "mamba_head_dim"), 16),
    **dict.fromkeys(("mamba_n_heads", "mamba_num_heads"), 8),
    **dict.fromkeys(("mamba_d_head", "mamba_d_state", "ssm_state_size", "state_size"), 16),
    **dict.fromkeys(("mamba_chunk_size", "chunk_size"), 8),
    "lru_width": 64,
    **dict.fromkeys(("image_size",), 32),
    **dict.fromkeys(("patch_size",), 16),
    "index_topk": WINDOW,
    "index_n_heads": 16,  # of few heads, whose scores are often 0, the choice among equals is not determined
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
QWEN_4: dict[str, Any] = {"indexer_n_heads": 16, "indexer_kv_heads": 1, "indexer_head_dim": 16, "indexer_budget": 32}
QWEN_4 |= {"indexer_compress_ratio": 4, "ngram_vocab_size_base": 512, "output_gate_type": "sigmoid"}
ASSISTANT = {"hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": 0, "layer_types": WINDOWS}
ROPE_BY_KIND = {kind: {"rope_type": "default", "rope_theta": 10_000.0} for kind in WINDOWS}
OWN: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1, 3], "mamba_d_head": 16},
    "cohere": {"logit_scale": 0.0625},
    "cohere_compass_text": {"layer_types": WINDOWS, "rope_parameters": ROPE_BY_KIND},
    "blt": {"encoder_hash_byte_group_vocab": 512},
    "dbrx": {
        "attn_config": {"rope_theta": 10_000.0, "clip_qkv": 8.0},
        "ffn_config": {"ffn_hidden_size": 96, "moe_num_experts": 4},
    },
    "dots3_note": {
        "text_config": DOTS_3,
        "vision_config": {
            "per_layer_config": {},
            "mlp_layer_types": ["dense"] * 4,
            "adapter_in_dim": 64,
            "adapter_out_dim": 64,
        },
        "audio_config": {"adapter_input_size": 64, "adapter_out_dim": 64},
    },
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
    "longcat_flash": {"zero_expert_num": 2, "head_dim": 8, "qk_head_dim": 16},
    "mamba2": {"num_heads": 8},
    "minicpm3": {"scale_emb": 1, "dim_model_base": 32},
    "qwen2": {"use_sliding_window": True, "max_window_layers": 2},
    "qwen4_exp": {"text_config": QWEN_4},
    "qwen4_exp_text": QWEN_4,
    "reformer": {"is_decoder": True, "axial_pos_embds_dim": (16, 48), "axial_pos_shape": (8, 16)},
    "xlstm": {"chunk_size": 64},
    "xmod": {"default_language": "en_XX"},
    "zamba": {"layers_block_type": ["linear_attention", "hybrid"] * 2},
    "zamba2": {"layers_block_type": ["linear_attention", "hybrid"] * 2},
    "zaya": {"num_experts_per_tok": 1},
}
# Types of which no model can be made here, and why.
UNBUILT = {
    "gemma3n": "its vision part needs the package timm; its text part alone is `gemma3n_text`",
    "gemma4_assistant": "drafts tokens for another model, whose keys it reads",
    "gemma4_unified_assistant": "drafts tokens for another model, whose keys it reads",
    "musicgen": "continues music, and its configuration has no language model of its own",
    "musicgen_melody": "continues music, and its configuration has no language model of its own",
}


def tiny_model(kind: str) -> PreTrainedModel:
    """Return a tiny random model of a type."""
    torch.manual_seed(0)
    config = tiny_config(CONFIG_MAPPING[kind], OWN.get(kind, {}))
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=False)
    model.eval().requires_grad_(False)
    shift(model)
    return model


def tiny_config(config_class: Any, own: dict[str, Any]) -> Any:
    """Return a configuration of a class, with the configurations inside it; every kind of layer of the type occurs."""
    names = {field.name for field in dataclasses.fields(config_class)}
    parts = {name: part for name, part in config_class.sub_configs_defaults.items() if name in own or not part.optional}
    values = {name: value for name, value in SIZES.items() if name in names}
    if "kv_lora_rank" in names:
        values["num_key_value_heads"] = 4  # as many as heads: keys are not shared, but compressed
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
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=draw))
    for name, buffer in model.named_buffers():
        if name.endswith("bias") and buffer.is_floating_point():
            buffer.add_(0.1 * torch.randn(buffer.shape, generator=draw))


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What Andon's numbers are for a model, against those of plain code of transformers; or why it has none."""

    error: float | None = None  # largest of a log-prob, in nats, or of a score
    where: str = ""  # what has the largest error
    rows: str = ""
    attention: str = ""
    refusal: str = ""

    @property
    def reason(self) -> str:
        """Why it was refused, without the words around it."""
        return self.refusal.partition("causal language model: ")[2].removesuffix(
            ". Correct the checkpoint, or give another one."
        )

    @property
    def right(self) -> bool:
        return self.error is not None and self.error <= BOUND


class Plain:
    """A model as transformers computes it: one row at a time, without padding, mask or cache."""

    def __init__(self, model: PreTrainedModel, queries: Sequence[Sequence[int]], tokens: Tensor) -> None:
        self._model, self._shape = model, tokens.shape
        pairs = zip(queries, tokens.tolist(), strict=True)
        self._rows = [torch.tensor([[*query, *response]]) for query, responses in pairs for response in responses]

    @torch.no_grad()
    def logprobs(self) -> Tensor:
        """Return the log-probs [B, k, R] of the responses."""
        length, rows = self._shape[-1], []
        for row in self._rows:
            logits = self._model(input_ids=row, use_cache=False).logits[0, -length - 1 : -1].float()
            rows.append((logits / TEMPERATURE).log_softmax(-1).gather(1, row[0, -length:, None])[:, 0])
        return torch.stack(rows).view(self._shape)

    @torch.no_grad()
    def scores(self, reward: RewardModel) -> Tensor:
        """Return the scores [B, k] of the responses by the head of a reward model."""
        body = body_of(self._model)
        ends = [body(input_ids=row, use_cache=False).last_hidden_state[0, -1] for row in self._rows]
        scores: Tensor = reward.gain * reward.head(torch.stack(ends)) + reward.bias
        return scores.view(self._shape[:2])


class Sampled(NamedTuple):
    """Responses of a model, and how their log-probs differ from those of plain code."""

    plain: Plain
    expected: Tensor  # log-probs [B, k, R] of plain code
    contexts: Tensor  # [B, C]
    tokens: Tensor  # [B, k, R]
    differences: dict[str, Tensor]


def judge(kind: str, tokenizer: PreTrainedTokenizerFast, folder: Path) -> Verdict:
    """Save a model of a type, open it as a base, and compare all that the learner computes with it."""
    own = tiny_model(kind)
    own.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    try:
        base = open_base(str(folder / "base"))
    except Refused as refusal:
        return Verdict(refusal=str(refusal))
    with exact():
        plain, expected, contexts, tokens, differences = sampled(own, base.model, (40, 23, 5, 1), 3, 12)
        policy, reward = PolicyModel(base.model), new_reward_model(base.model, 0)
        trained, _, _ = policy(contexts, tokens, TEMPERATURE)
        trained.sum().backward()
        scores = plain.scores(reward)
        reward.save(folder / "reward")
        differences |= {
            "policy": trained.detach() - expected,
            "score": reward(contexts, tokens).detach() - scores,
            "score of a saved model": load_reward_model(folder / "reward")(contexts, tokens) - scores,
        }
    errors = {name: float(each.abs().nan_to_num(nan=float("inf")).max()) for name, each in differences.items()}
    where = max(errors, key=lambda name: errors[name])
    layout, config = layout_of(body_of(base.model)), base.model.config.get_text_config()
    rows = layout.rows if layout.masks is Masks.ONE else f"{layout.rows}, masks {layout.masks}"
    return Verdict(errors[where], where, rows, str(config._attn_implementation))


def sampled(own: PreTrainedModel, model: PreTrainedModel, lengths: Sequence[int], k: int, length: int) -> "Sampled":
    """Sample k responses of a length to random queries of some lengths, and compare log-probs with those of `own`."""
    draw = torch.Generator().manual_seed(2)
    queries = [torch.randint(3, VOCABULARY, (each,), generator=draw).tolist() for each in lengths]
    contexts, fmt = pad_left(queries), RULES.model_copy(update={"response_tokens": length})
    samples = sample(model, contexts, draw_noise(len(queries), k, fmt, draw), fmt)
    plain = Plain(own, queries, samples.tokens)
    expected = plain.logprobs()
    trained = response_logprobs(model, contexts, samples.tokens, TEMPERATURE, 2)
    others = [[query[0] % (VOCABULARY - 4) + 3, *query[1:]] for query in queries]
    moved = (Plain(own, others, samples.tokens[:, :1]).logprobs() - expected[:, :1]).abs().max()
    assert moved > 100 * BOUND, f"another token moves nothing by more than {moved:.1e}, so the check sees nothing"
    differences = {"sampling": samples.logprobs - expected, "training": trained - expected}
    return Sampled(plain, expected, contexts, samples.tokens, differences)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of VOCABULARY tokens, trained on the queries of a campaign."""
    texts = [query.text for query in load_queries(load_campaign("sentiment").text, "test")[:100]]
    embedded: Any = AutoTokenizer.from_pretrained(EMBEDDED, trust_remote_code=False)
    tokenizer: PreTrainedTokenizerFast = embedded.train_new_from_iterator(texts, vocab_size=VOCABULARY)
    return tokenizer
