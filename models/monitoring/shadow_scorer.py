"""The shadow scorer: an independent scorer by plain code, in its own process, with the published reward model.

PPO's scoring code is fast and shared, so a bug in it affects all numbers that come from it. Here a loop cuts a
response, a row has one query, one response and no padding, and the weights come from the store. The child reads one
JSON object a line and writes one a line. It never gets the trainer's scores.
"""

import json
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypedDict

import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from andon_launcher import command
from data.errors import Refused
from data.store import open_store
from data.store.manifest import read_manifest
from models.lm.prompts import Prompts

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
Member = tuple[Any, dict[str, torch.Tensor]]  # body, and head with gain and bias


class Rules(TypedDict):
    """What makes a response valid, as plain lists: the first line that the child reads."""

    stops: list[list[int]]  # token sequences that end a response ...
    after: int  # ... at or after this index
    unreadable: list[int]  # tokens that no valid response has ...
    size: int  # ... nor a token from this one on


def rules_of(prompts: Prompts) -> Rules:
    after, size = prompts.fmt.truncate_after, prompts.size
    return Rules(stops=prompts.stops, after=after, unreadable=prompts.unreadable, size=size)


class ShadowScorer:
    """The child process, which is started once."""

    def __init__(self, store: str, reward: str, prompts: Prompts) -> None:
        uri = open_store(store).uri  # absolute for a folder, because the child may run in another one
        self.folder = TemporaryDirectory()
        prompts.tokenizer.save_pretrained(self.folder.name)
        child = command("models.monitoring.shadow_scorer", uri, reward, self.folder.name)
        self.child = subprocess.Popen(child, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._send(rules_of(prompts))

    def _send(self, document: Any) -> None:
        assert self.child.stdin is not None
        with suppress(BrokenPipeError):  # reading the answer tells that the child has ended
            self.child.stdin.write(json.dumps(document) + "\n")
            self.child.stdin.flush()

    def score(self, queries: list[list[int]], responses: list[list[int]]) -> list[float | None]:
        """Return the score of each complete response to its query; None for an invalid response."""
        assert self.child.stdout is not None
        self._send({"queries": queries, "responses": responses})
        try:
            answer: list[float | None] = json.loads(self.child.stdout.readline())
        except (OSError, ValueError) as error:
            raise Refused(
                f"The shadow scorer ended with exit code {self.child.poll()} (see its messages above), so the training "
                "ends too. Run it again: it continues from its checkpoint."
            ) from error
        return answer

    def close(self) -> None:
        assert self.child.stdin is not None and self.child.stdout is not None
        self.child.stdin.close()
        self.child.wait()
        self.child.stdout.close()
        self.folder.cleanup()


def members(folder: Path) -> list[Member]:
    """Load body and head of every member of a published reward model."""
    loaded = []
    for path in (folder, *sorted(folder.glob("member-*"))):
        body = AutoModel.from_pretrained(path, dtype=torch.float32, use_safetensors=True, trust_remote_code=False)
        head = load_file(path / "head.safetensors", device=str(DEVICE))
        of_body = {name.removeprefix("body."): tensor for name, tensor in head.items() if name.startswith("body.")}
        body.load_state_dict(of_body, strict=False)  # models/reward/classifier.py says why
        loaded.append((body.eval().to(DEVICE), head))
    return loaded


@torch.no_grad()
def score(models: list[Member], query: list[int], response: list[int]) -> float:
    """Return the mean over members of g (w . h + b) + c at the last token of query and response."""
    total = 0.0
    for body, head in models:
        last = body(input_ids=torch.tensor([query + response], device=DEVICE)).last_hidden_state[0, -1]
        inner = float(last @ head["head.weight"][0] + head["head.bias"][0])
        total += float(head["gain"]) * inner + float(head["bias"])
    return total / len(models)


def cut(response: list[int], rules: Rules) -> list[int] | None:
    """Return the response up to and including the first stop that ends at or after an index; None without a stop."""
    for index in range(rules["after"], len(response)):
        kept = response[: index + 1]
        if any(kept[-len(stop) :] == stop for stop in rules["stops"]):
            return kept
    return None


def valid_part(response: list[int], rules: Rules, tokenizer: Any) -> list[int] | None:
    """Return the part of a response that people would read; None if they could not read what was sampled."""
    kept = cut(response, rules)
    if kept is None or any(token in rules["unreadable"] for token in kept):
        return None
    return None if max(kept) >= rules["size"] or "\ufffd" in tokenizer.decode(kept) else kept


def main(store: str, reward: str, folder: str) -> None:
    """Answer requests from stdin until it ends."""
    for number in (signal.SIGTERM, signal.SIGINT):  # the trainer needs scores until it has saved; then it closes stdin
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)
    transformers_logging.set_verbosity_error()  # the head of a reward model is no part of the body that is loaded
    transformers_logging.disable_progress_bar()
    published = read_manifest(open_store(store), reward)
    assert published is not None
    models = members(published.folder())
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    rules: Rules = json.loads(sys.stdin.readline())
    for line in sys.stdin:
        request = json.loads(line)
        kept = [valid_part(response, rules, tokenizer) for response in request["responses"]]
        pairs = zip(request["queries"], kept, strict=True)
        print(
            json.dumps([None if short is None else score(models, query, short) for query, short in pairs]), flush=True
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
