"""Pretrain the embedded base: a byte-level BPE and a small GPT-2 on the text that `base.corpus` wrote.

    python -m base.pretrain      # an hour on two cores; writes base/model/, prints what the model card quotes

Every crop starts at a sentence, as every query does. Dropout and keeping the best validation step guard against
learning three million characters by heart. It is GPT-2's architecture in every part, only smaller.
"""

import argparse
import json
import math
import time
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from models.lm.precision import autocast

HERE = Path(__file__).parent
END_OF_TEXT = "<|endoftext|>"


def train_tokenizer(text: str, size: int) -> PreTrainedTokenizerFast:
    """Train GPT-2's kind of tokenizer, but with "." always a token of its own, as the seed's rules read it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\."), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(text.split(END_OF_TEXT), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END_OF_TEXT, eos_token=END_OF_TEXT, unk_token=END_OF_TEXT
    )


def encode(tokenizer: PreTrainedTokenizerFast, text: str) -> tuple[Tensor, Tensor]:
    """Return all token ids, and the positions at which a sentence starts."""
    ids = torch.tensor(tokenizer(text, verbose=False)["input_ids"])
    full_stop = tokenizer.convert_tokens_to_ids(".")
    stops = (ids == full_stop) | (ids == tokenizer.eos_token_id)
    return ids, torch.cat([torch.zeros(1, dtype=torch.long), stops.nonzero().flatten() + 1])


def crops(ids: Tensor, starts: Tensor, batch: int, length: int, draw: torch.Generator) -> Tensor:
    """Draw `batch` crops of `length` tokens that start where a sentence starts."""
    usable = starts[starts + length <= len(ids)]
    chosen = usable[torch.randint(len(usable), (batch,), generator=draw)]
    return ids[chosen[:, None] + torch.arange(length)]


@torch.no_grad()
def validation_loss(model: GPT2LMHeadModel, ids: Tensor, length: int) -> float:
    """Mean loss in nats a token over consecutive blocks of `length` tokens."""
    model.eval()
    blocks = ids[: len(ids) // length * length].view(-1, length)
    with autocast(ids.device):
        losses = [model(input_ids=part, labels=part).loss.float() * len(part) for part in blocks.split(16)]
    model.train()
    return float(sum(losses) / len(blocks))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, default=HERE / "build")
    parser.add_argument("--out", type=Path, default=HERE / "model")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--positions", type=int, default=640)
    parser.add_argument("--crop", type=int, default=160, help="tokens a crop; every 8th batch uses all positions")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    draw = torch.Generator().manual_seed(arguments.seed)

    text = (arguments.text / "train.txt").read_text(encoding="utf-8")
    tokenizer = train_tokenizer(text, arguments.vocabulary)
    ids, starts = encode(tokenizer, text)
    held_out, _ = encode(tokenizer, (arguments.text / "validation.txt").read_text(encoding="utf-8"))
    config = GPT2Config(
        vocab_size=arguments.vocabulary,
        n_positions=arguments.positions,
        n_embd=arguments.width,
        n_layer=arguments.layers,
        n_head=arguments.heads,
        resid_pdrop=arguments.dropout,
        embd_pdrop=arguments.dropout,
        attn_pdrop=0.0,  # keeps the fused attention kernel
        activation_function="gelu_pytorch_tanh",  # GPT-2's own GELU, in one kernel instead of eight
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = GPT2LMHeadModel(config)
    decayed = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=arguments.lr, betas=(0.9, 0.95), fused=True)
    print(f"{model.num_parameters():,} parameters, {len(ids):,} tokens, {len(held_out):,} held out", flush=True)

    began, seen, best = time.monotonic(), 0, math.inf
    for step in range(arguments.steps):
        rate = min(1.0, step / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / arguments.steps)))
        for group in optimizer.param_groups:
            group["lr"] = arguments.lr * rate
        long = step % 8 == 7
        length = arguments.positions if long else arguments.crop
        batch = arguments.batch * arguments.crop // arguments.positions if long else arguments.batch
        part = crops(ids, starts, batch, length, draw)
        with autocast(part.device):
            loss = model(input_ids=part, labels=part).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seen += part.numel()
        if step % 250 == 249:
            loss_now = validation_loss(model, held_out, 80)
            line = {"step": step + 1, "tokens": seen, "train": round(loss.item(), 3), "validation": round(loss_now, 4)}
            line |= {
                "minutes": round((time.monotonic() - began) / 60, 1),
                "tokens_s": int(seen / (time.monotonic() - began)),
            }
            print(json.dumps(line), flush=True)
            if loss_now < best:
                best = loss_now
                model.save_pretrained(arguments.out)
                tokenizer.save_pretrained(arguments.out)
    print(json.dumps({"best_validation": best, "steps": arguments.steps, "tokens": seen}), flush=True)


if __name__ == "__main__":
    main()
