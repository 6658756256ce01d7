"""The model cards of a policy and of a reward model: how others load them, and for texts of what format."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from data.campaign import Campaign
from data.campaign.settings import TextFormat
from models.lm.prompts import Prompts
from models.lm.vocabulary import inner_start

FORMAT_FILE = "text_format.json"


class PublishedFormat(TypedDict):
    """The text format of a campaign in tokens, as the code of the cards reads it."""

    bos: list[int]  # begins every row; empty if the tokenizer adds none
    before_query: list[int]  # BOS and prefix, which the policy reads before a query ...
    after_query: list[int]  # ... and the suffix, which it reads behind the query
    query_tokens: int
    response_tokens: int
    response_start: str  # put before the text of a response ...
    response_skip: int  # ... whose first tokens, so many, are then left out
    stops: list[list[int]]  # token sequences that end a response ...
    truncate_after: int  # ... at or after this 0-based index


def published_format(prompts: Prompts) -> PublishedFormat:
    """Return what FORMAT_FILE of a published model has."""
    prefix, suffix = prompts.affixes
    start, skip = inner_start(prompts.tokenizer)
    fmt = prompts.fmt
    return {
        "bos": prompts.begin,
        "before_query": [*prompts.begin, *prefix],
        "after_query": suffix,
        "query_tokens": fmt.query_tokens,
        "response_tokens": fmt.response_tokens,
        "response_start": f"{start} ",
        "response_skip": skip,
        "stops": prompts.stops,
        "truncate_after": fmt.truncate_after,
    }


def write_card(folder: Path, card: str, prompts: Prompts) -> None:
    """Write a card and the text format next to a published model."""
    (folder / "README.md").write_text(card, "utf-8")
    (folder / FORMAT_FILE).write_text(json.dumps(published_format(prompts)), "utf-8")


def _format_in_words(text: TextFormat) -> str:
    """Return the items of a card that say what a query and a response are."""
    query = f"at most {text.query_tokens} tokens"
    query += "" if text.query_starts_after is None else f", from behind the first {text.query_starts_after!r}"
    query += "" if text.query_ends_at is None else f", up to and including the last {text.query_ends_at!r}"
    return f"""- Query: {query}.
- Response: {text.response_tokens} tokens, cut after the first {text.truncate_at!r} at or after token \
{text.truncate_after + 1}. One without it is invalid.
- Every row begins with BOS if the tokenizer adds it. `{FORMAT_FILE}` has the format in tokens."""


def model_card(campaign: Campaign, run: str, kl: float) -> str:
    """Return the README of a policy's folder. `kl` is that of the last update, in nats a sequence."""
    first, start, text = "", "the base", campaign.text
    if campaign.supervised is not None:
        first, start = "on references, then ", "the base after fine-tuning on references"
    return f"""# {campaign.name}: policy of {run}

A language model fine-tuned from `{campaign.base}` {first}with PPO against a reward model that was
trained on people's choices.

- Instructions for labelers: {campaign.instructions}
{_format_in_words(text)}
- The policy reads {text.prefix!r} before a query and {text.suffix!r} behind it. `generation_config.json` has the
  temperature, {text.temperature}; no top-k, no top-p. Other lengths and temperatures were not measured.
- {campaign.policy.episodes:,} episodes; at the end KL {kl:.2f} nats a sequence from {start}.
- The run's manifest.json has its labels, reward model, seeds and versions; report.html has its evaluation. The model is
  optimised for one preference of one pool of labelers, and for nothing else.

```python
import json

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # of this file
text_format = json.load(open(f"{{folder}}/{FORMAT_FILE}"))
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)


def respond(query: str) -> str | None:
    tokens = tokenizer(query, add_special_tokens=False)["input_ids"][: text_format["query_tokens"]]
    row = torch.tensor([text_format["before_query"] + tokens + text_format["after_query"]])
    response = model.generate(row, attention_mask=torch.ones_like(row))[0, row.shape[1] :].tolist()
    for end in range(text_format["truncate_after"] + 1, len(response) + 1):
        if any(response[:end][-len(stop) :] == stop for stop in text_format["stops"]):
            return tokenizer.decode(response[:end], skip_special_tokens=True).strip()
    return None  # invalid
```
"""


def reward_card(campaign: Campaign, run: str, missing: Sequence[float] | None, padding: int | None) -> str:
    """Return the README of a reward model's folder.

    `missing` is what each member's logit lacks of its score; None if transformers has no classifier for the base.
    """
    members = range(campaign.reward.models)
    folders = ["." if number == 0 else f"member-{number}" for number in members]
    text = campaign.text
    several = "" if len(folders) == 1 else f" The score is the mean of {len(folders)} models, one in each folder."
    return f"""# {campaign.name}: reward model of {run}

It scores responses to a query, and was trained from `{campaign.base}` on people's choices.{several}

- Instructions for labelers: {campaign.instructions}
{_format_in_words(text)}
- The score of the base's own responses has mean 0 and standard deviation 1. The reward model does not read the prefix
  and the suffix of the policy.
- {_loading(missing, padding)}

```python
{_code(folders, missing)}
```
"""


def _loading(missing: Sequence[float] | None, padding: int | None) -> str:
    """Return how transformers loads a reward model, and what its logit lacks."""
    if missing is None:
        return "transformers has no sequence classifier for this architecture, so the code below reads the head itself."
    batch = "Give it one row at a time." if padding is None else f"Pad a batch on the right with token {padding}."
    found = f"`AutoModelForSequenceClassification` loads it. {batch}"
    if not any(missing):
        return f"{found} Its logit is the score."
    return f"{found} Its head has no bias, so a number is added to its logit: see `models` below."


def _code(folders: Sequence[str], missing: Sequence[float] | None) -> str:
    """Return code that scores a response."""
    if missing is None:
        imports = "from safetensors.torch import load_file\nfrom transformers import AutoModel, AutoTokenizer"
        models = f"""models = [
    (AutoModel.from_pretrained(f"{{folder}}/{{name}}"), load_file(f"{{folder}}/{{name}}/head.safetensors"))
    for name in {[*folders]}
]"""
        scores = """    scores = []
    for body, head in models:
        state = body(row).last_hidden_state[0, -1]
        scores.append(head["gain"] * (head["head.weight"][0] @ state + head["head.bias"][0]) + head["bias"])
    return float(sum(scores) / len(scores))"""
    else:
        imports = "from transformers import AutoModelForSequenceClassification, AutoTokenizer"
        models = f"""models = [
    (AutoModelForSequenceClassification.from_pretrained(f"{{folder}}/{{name}}"), added)
    for name, added in {[*zip(folders, missing, strict=True)]}
]"""
        scores = """    return sum(model(row).logits[0, 0].item() + added for model, added in models) / len(models)"""
    return f"""import json

import torch
{imports}

folder = "."  # of this file
text_format = json.load(open(f"{{folder}}/{FORMAT_FILE}"))
tokenizer = AutoTokenizer.from_pretrained(folder)
{models}


@torch.no_grad()
def score(query: str, response: str) -> float:
    tokens = tokenizer(query, add_special_tokens=False)["input_ids"][: text_format["query_tokens"]]
    answer = tokenizer(text_format["response_start"] + response.strip(), add_special_tokens=False)["input_ids"]
    answer = answer[text_format["response_skip"] :][: text_format["response_tokens"]]
    row = torch.tensor([text_format["bos"] + tokens + answer])
{scores}"""
