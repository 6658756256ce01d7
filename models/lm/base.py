"""Loading pretrained causal language models; the one place that knows how transformers builds them.

Everything else asks three things of a model: hidden states of its body, logits of some hidden states, and a copy.
So any decoder-only model of transformers can be a base. Models stay in eval mode for good: dropout is never on.
"""

import copy
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.utils import logging as transformers_logging

from data.campaign.settings import TextFormat
from data.canonical import content_id
from data.errors import Refused
from models.lm.gpu import check_processor
from models.lm.memory import keep_freed_memory
from models.lm.prompts import Prompts
from models.training.processes import processes

EMBEDDED = Path(__file__).resolve().parents[2] / "base" / "model"
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
    """Load `embedded`, a folder or a hub name; raise Refused where there is no such causal language model.

    With a campaign's text format, the context and the response must fit into the positions of the model.
    """
    keep_freed_memory()
    source = str(EMBEDDED) if name == "embedded" else name
    # transformers would answer a missing folder with a hub error; say what is really wrong.
    looks_like_folder = name.startswith((".", "/", "~")) or name.count("/") > 1
    if looks_like_folder and not Path(source).expanduser().is_dir():
        raise Refused(f"There is no checkpoint folder {name}. Give a folder, a hub name, or embedded.")
    source = os.path.expanduser(source)
    if Path(source).is_dir() and not (Path(source) / "config.json").is_file():
        raise Refused(f"The base {name} cannot be loaded: that folder has no config.json, so it is no checkpoint.")
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        config = AutoConfig.from_pretrained(source)
        if (gelu := getattr(config, "activation_function", None)) in FUSED_GELU:
            config.activation_function = FUSED_GELU[gelu]
        model = AutoModelForCausalLM.from_pretrained(
            source, config=config, dtype=torch.float32, attn_implementation="sdpa", use_safetensors=True
        )
    except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:
        first = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise Refused(f"The base {name} cannot be loaded as a causal language model: {first}") from error
    if fmt and (longest := getattr(model.config, "max_position_embeddings", None)):
        around = len(Prompts(tokenizer, fmt).surround([]))
        if (needed := fmt.query_tokens + around + fmt.response_tokens) > int(longest):
            parts = "query, affixes and response" if around else "query and response"
            raise Refused(f"The base {name} holds {longest} tokens; the campaign needs {needed} for {parts}.")
    model.eval().requires_grad_(False).to(best_device())
    return Base(name, model, tokenizer, fingerprint(model), content_id(tokenizer.get_vocab()))


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
    return duplicate


def hidden_size(model: PreTrainedModel) -> int:
    return int(model.config.hidden_size)


def body(model: PreTrainedModel) -> PreTrainedModel:
    """Return the transformer without its language-model head."""
    inner = model.base_model
    assert isinstance(inner, PreTrainedModel)
    return inner


def hidden_states(model: PreTrainedModel, tokens: Tensor, attention: Tensor, positions: Tensor, **cache: Any) -> Any:
    """Run the body: tokens [B, T], attention [B, 1, T, S] (True = may look), positions [B, T] -> output with
    `last_hidden_state` [B, T, d], after the final layer norm."""
    return body(model)(input_ids=tokens, attention_mask=attention, position_ids=positions, **cache)


def logits(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """Return fp32 logits [..., V] of hidden states [..., d]."""
    scores: Tensor = model.get_output_embeddings()(hidden.float())
    return scores


def save_language_model(model: PreTrainedModel, tokenizer: Any, folder: Path) -> None:
    """Write a checkpoint that plain `AutoModelForCausalLM.from_pretrained` loads."""
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
