"""Loading pretrained causal language models; the one place that knows how transformers builds them.

Everything else asks three things of a model: hidden states of its body (models/lm/layout.py), logits of some hidden
states (models/lm/head.py), and a copy. Models stay in eval mode for good: dropout is never on.
"""

import copy
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from torch import Tensor, nn
from transformers import (
    MODEL_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
)
from transformers.utils import logging as transformers_logging

from data.campaign.settings import TextFormat
from data.canonical import content_id
from data.errors import Refused
from data.escape import shown, shown_name
from models.lm.checkpoint_folder import check_folder, check_tokenizer, reading
from models.lm.gpu import check_processor
from models.lm.head import body_of, embedded_tokens, head_of
from models.lm.layout import layout_of
from models.lm.memory import keep_freed_memory
from models.lm.prompts import Prompts
from models.lm.vocabulary import special_ids
from models.training.processes import processes

EMBEDDED = Path(__file__).resolve().parents[2] / "base" / "model"
FILES = ["*.json", "*.safetensors", "*.model", "*.txt"]  # of a checkpoint of the hub; code is none of them
OLD_BUFFER = re.compile(r"(attn|attention)\.(masked_)?bias$|inv_freq$")  # masks and angles that old versions saved
FUSED_GELU = {"gelu_new": "gelu_pytorch_tanh"}  # the same function in one kernel

transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()


@dataclass(frozen=True)
class Base:
    """A pretrained checkpoint: its language model (fp32, frozen), its tokenizer, and the hash of each."""

    name: str
    model: PreTrainedModel
    tokenizer: Any
    fingerprint: str
    vocabulary: str

    def prompts(self, fmt: TextFormat) -> Prompts:
        """Return how this base reads and writes texts of a format."""
        return Prompts(self.tokenizer, fmt)


def open_base(name: str, fmt: TextFormat | None = None) -> Base:
    """Load `embedded`, a folder or a hub name; raise Refused if there is no such causal language model.

    With a campaign's text format, the context and the response must fit into the positions of the model.
    """
    keep_freed_memory()
    source = EMBEDDED if name == "embedded" else Path(name).expanduser()
    # transformers would answer a missing folder with a hub error; say what is really wrong.
    looks_like_folder = name.startswith((".", "/", "~")) or name.count("/") > 1
    if looks_like_folder and not source.is_dir():
        raise Refused(f"There is no checkpoint folder {shown_name(name)}. Give a folder, a hub name, or embedded.")
    try:
        model, tokenizer = _load(source if source.is_dir() else _downloaded(name))
    except Refused as refusal:
        raise Refused(
            f"The base {shown_name(name)} cannot be loaded as a causal language model: {refusal}. "
            "Correct the checkpoint, or give another one."
        ) from refusal
    if fmt and (longest := getattr(model.config.get_text_config(), "max_position_embeddings", None)):
        around = len(Prompts(tokenizer, fmt).surround([]))  # affixes, and BOS if the tokenizer adds it
        if (needed := fmt.query_tokens + around + fmt.response_tokens) > int(longest):
            parts = "query, affixes and response" if around else "query and response"
            raise Refused(f"The base {name} holds {longest} tokens; the campaign needs {needed} for {parts}.")
    return Base(name, model, tokenizer, fingerprint(model), content_id(tokenizer.get_vocab()))


def _downloaded(name: str) -> Path:
    """Return the folder of a checkpoint of the hub, on this machine."""
    with reading("download"):
        return Path(snapshot_download(name, allow_patterns=FILES))


def _load(folder: Path) -> tuple[PreTrainedModel, Any]:
    """Return the model of a checkpoint and its tokenizer; raise Refused if it is not a whole causal language model.

    The files are checked before transformers reads them, and the model answers once before anything relies on it.
    """
    check_folder(folder)
    check_tokenizer(folder)
    with reading("tokenizer files"):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    with reading("config.json"):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        if (gelu := getattr(config, "activation_function", None)) in FUSED_GELU:
            config.activation_function = FUSED_GELU[gelu]
    with reading("model.safetensors or config.json"):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # _check_whole names them
            generation_config=GenerationConfig(),  # the campaign says how responses are sampled
            trust_remote_code=False,
        )
    model, keys = loaded
    _check_whole(keys)
    model.eval().requires_grad_(False).to(best_device())
    with reading("config.json and the tokenizer files do not fit the weights"):
        _check_answer(model, tokenizer)
    return model, tokenizer


def _check_whole(keys: Mapping[str, Any]) -> None:
    """Raise Refused if the weights are not those that config.json describes; transformers says how they differ."""
    for name, has, asked in sorted(keys["mismatched_keys"]):
        raise Refused(f"its weights have {shown(name)} of size {list(has)}, and config.json asks for {list(asked)}")
    for name in sorted(keys["missing_keys"]):
        raise Refused(f"its weights lack {shown(name)}, which config.json asks for")
    for name in sorted(name for name in keys["unexpected_keys"] if not OLD_BUFFER.search(name)):
        raise Refused(f"its weights have {shown(name)}, which a causal language model of this config.json lacks")


@torch.no_grad()
def _check_answer(model: PreTrainedModel, tokenizer: Any) -> None:
    """Raise Refused if the tokenizer and the model do not fit together, or the model cannot answer."""
    vocabulary, rows = tokenizer.get_vocab(), embedded_tokens(model)
    if not vocabulary or max(vocabulary.values()) >= rows:
        raise Refused(f"its tokenizer has {len(vocabulary):,} tokens, and its model has {rows:,}")
    ids = tokenizer.encode("One. Two.", add_special_tokens=False, split_special_tokens=True)
    if not ids or not isinstance(tokenizer.decode(ids, skip_special_tokens=True), str):
        raise Refused("its tokenizer makes no tokens of a text")
    special_ids(tokenizer)  # which fails for a tokenizer without an unknown token that lacks a special one
    _check_body(body_of(model))
    tokens = torch.tensor([ids], device=model.device)
    logits = model(input_ids=tokens).logits
    if logits.shape[:2] != tokens.shape:
        raise Refused("its logits are not one a token and entry of the vocabulary")
    if logits.isnan().any():
        raise Refused("its weights contain numbers that are not finite")
    layout_of(body_of(model))
    head_of(model)
    _check_gradient(body_of(model), tokens)


def _check_gradient(body: PreTrainedModel, tokens: Tensor) -> None:
    """Raise an error if a body has no gradients in eval mode, in which models stay."""
    embedded: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        embedded.append(output.detach().requires_grad_())
        return embedded[-1].clone()  # some models change it in place

    hook = body.get_input_embeddings().register_forward_hook(keep)
    with hook, torch.enable_grad():
        states = body(input_ids=tokens, use_cache=False).last_hidden_state
        if embedded:
            torch.autograd.grad(states.float().sum(), embedded[0])


def _check_body(body: PreTrainedModel) -> None:
    """Raise Refused if a saved body would be loaded as another model, as a decoder that is half of a model would."""
    own: type = type(body)
    loaded: object = MODEL_MAPPING.get(type(body.config), None)
    if loaded is not own:
        other = "nothing" if loaded is None else getattr(loaded, "__name__", "another model")
        raise Refused(f"its {own.__name__} is part of a larger model: AutoModel loads {other} for it")


def best_device() -> torch.device:
    """Return this process's GPU, or the processor; the processes of a training have one each."""
    processes()  # joining the other processes also selects the GPU of this one
    if torch.cuda.is_available():
        return torch.device("cuda")
    check_processor()
    return torch.device("cpu")


def fingerprint(model: nn.Module) -> str:
    """Hash the weights themselves, whatever files they came from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def trainable_copy(model: PreTrainedModel) -> PreTrainedModel:
    """Return a copy with weights of its own, ready for gradients, still without dropout."""
    duplicate: PreTrainedModel = copy.deepcopy(model)
    duplicate.requires_grad_(True).eval()
    for module in duplicate.modules():
        if isinstance(module, nn.Embedding):
            module.padding_idx = None  # padding is masked, so a token of this id learns as all others
    return duplicate


def hidden_size(model: PreTrainedModel) -> int:
    """Return d, the size of the hidden states of a model or of its body."""
    return layout_of(body_of(model)).size


def save_language_model(model: PreTrainedModel, tokenizer: Any, folder: Path, prompts: Prompts | None = None) -> None:
    """Write a checkpoint that plain `AutoModelForCausalLM.from_pretrained` loads.

    With prompts, its plain `generate()` samples as Andon does: all tokens of a response, from the whole softmax.
    """
    if prompts is not None:
        fmt = prompts.fmt
        model.generation_config = GenerationConfig(
            do_sample=True, temperature=fmt.temperature, top_k=0, top_p=1.0, max_new_tokens=fmt.response_tokens,
            pad_token_id=prompts.padding,
        )  # fmt: skip
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
