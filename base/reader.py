"""Teach the embedded base to look back: a copy that can repeat what it has just read, for campaigns/speeches.toml.

    python -m base.reader        # ten minutes on one core; writes base/build/reader, for `andon round speeches --base`

The embedded base cannot use a source: reading a passage a second time costs it as much as the first. First it learns to
repeat tokens drawn at random, which nothing but looking back predicts; then, in turns with longer ones of these, to
write again, on the passages of training queries (novels and speeches). It is never shown a summary.
"""

import argparse
import random
import time
from pathlib import Path

import pyarrow.parquet as pq
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from models.lm.base import Base, open_base, trainable_copy
from models.lm.head import body_of, logits
from models.lm.tokens import PAD, pad_right

HERE = Path(__file__).parent
LEARN, WRITE = 400, 600  # steps
SHORT, LONG = (12, 16, 24, 32), (16, 32, 64, 96)  # tokens to repeat
TOKENS = 1152  # to repeat, a step
PASSAGES = 16  # a step
LR, WARM = 1e-3, 30


def read_passages(base: Base) -> list[list[int]]:
    """Return the tokens of all training queries."""
    files = [HERE / folder / "train.parquet" for folder in ("queries", "speeches")]
    return [base.tokenizer.encode(text) for file in files for text in pq.read_table(file)["text"].to_pylist()]


def repeating_loss(model: PreTrainedModel, tokens: Tensor, length: int, draw: random.Random) -> Tensor:
    """Return the loss, nats a token, of the second time that random tokens are read, from some place in them on."""
    first = tokens[torch.randint(len(tokens), (TOKENS // length, length))]
    second = first[:, draw.randrange(length // 2) :]
    hidden = body_of(model)(input_ids=torch.cat([first, second], 1)).last_hidden_state
    return cross_entropy(logits(model, hidden[:, length:-1]).flatten(0, 1), second[:, 1:].flatten())


def writing_loss(model: PreTrainedModel, passages: list[list[int]]) -> Tensor:
    """Return the loss, nats a token, of some passages."""
    ids = pad_right(passages)
    written = model(input_ids=ids.clamp(min=0)).logits[:, :-1]
    return cross_entropy(written.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=PAD)


@torch.no_grad()
def read_twice(model: PreTrainedModel, passages: list[list[int]]) -> tuple[float, float]:
    """Return the mean loss of the first and of the second time that a passage is read."""
    found = []
    for passage in passages:
        ids = torch.tensor([passage + passage])
        lost = cross_entropy(model(input_ids=ids).logits[0, :-1], ids[0, 1:], reduction="none")
        found.append((float(lost[: len(passage) - 1].mean()), float(lost[len(passage) :].mean())))
    first, second = (sum(each) / len(found) for each in zip(*found, strict=True))
    return first, second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "build" / "reader")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    draw, base, began = random.Random(arguments.seed), open_base("embedded"), time.monotonic()
    passages = read_passages(base)
    tokens = torch.tensor([token for passage in passages for token in passage])
    test = [
        base.tokenizer.encode(t) for t in pq.read_table(HERE / "speeches" / "test.parquet")["text"].to_pylist()[:50]
    ]
    print(
        "loss of test passages, first and second time: {:.2f} {:.2f}".format(*read_twice(base.model, test)), flush=True
    )
    model = trainable_copy(base.model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, betas=(0.9, 0.95), weight_decay=0.01)
    for step in range(LEARN + WRITE):
        left = min(1.0, (LEARN + WRITE - step) / WRITE)
        for group in optimizer.param_groups:
            group["lr"] = LR * min((step + 1) / WARM, left)
        if step < LEARN or step % 2:
            loss = repeating_loss(model, tokens, draw.choice(SHORT if step < LEARN else LONG), draw)
        else:
            loss = writing_loss(model, draw.sample(passages, PASSAGES))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 100 > 97:
            print(f"step {step + 1}: loss {loss.item():.2f}, {time.monotonic() - began:.0f} s", flush=True)
    print("loss of test passages, first and second time: {:.2f} {:.2f}".format(*read_twice(model, test)), flush=True)
    model.save_pretrained(arguments.out)
    base.tokenizer.save_pretrained(arguments.out)


if __name__ == "__main__":
    main()
