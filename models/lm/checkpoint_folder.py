"""What a checkpoint from elsewhere must be before transformers reads it: plain files of a bounded size, and a
configuration that fits to its weights.

A checkpoint never runs code: every call that loads one says `trust_remote_code=False` (tests/test_layout.py).
"""

import json
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM

from data.errors import Refused
from data.escape import first_line, in_ascii, shown

READ = ("config", "generation_config", "tokenizer_config", "tokenizer", "special_tokens_map", "added_tokens", "vocab")
TOKENIZERS = ("tokenizer.json", "*.model", "*vocab*", "tekken.json")
HEAD_FILE = "head.safetensors"  # of a published reward model
LARGEST_JSON = 64 << 20  # bytes; the largest tokenizers have 40 MB
MOST_LEVELS = 40  # of one JSON value inside another
LARGEST_SIZE = 1 << 20  # of one dimension; no published model has a larger one
COUNTED = re.compile(r"(num|n)_.*(layer|block|expert)|layers$")  # settings that say how many modules there are
MOST_MODULES = 1_024  # unless there are more tensors: a tensor may hold the weights of many experts
UNBOUNDED = ("position", "length", "theta", "window", "context", "seq")  # settings that no memory depends on
PER_BYTE = 2  # parameters in one byte of the weights, packed in 4 bits
BUFFERS = 256 << 20  # elements that a model computes and no file has, such as masks


@contextmanager
def reading(part: str) -> Iterator[None]:
    """Raise Refused, which names the part of a checkpoint, for any error that a library raises while it reads it."""
    try:
        yield
    except Refused:
        raise
    except BaseException as error:
        # A panic of the tokenizers' Rust code is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise Refused(f"{part}: {first_line(error)}") from error


def check_folder(folder: Path) -> None:
    """Raise Refused if a checkpoint has no configuration, no weights, or a file that cannot be read safely."""
    if not (folder / "config.json").is_file():
        raise Refused("that folder has no config.json, so it is no checkpoint")
    for path in sorted(folder.iterdir()):
        kind = path.stat().st_mode if path.exists() else 0
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            raise Refused(f"{in_ascii(path.name)} is not a plain file")
        if path.suffix == ".json" and path.stem in READ:
            _read_json(path)
    if (folder / HEAD_FILE).is_file():
        raise Refused("it is a reward model, which writes no text; give the model that it was trained from")
    count, size = _weights(folder)
    if not count:
        raise Refused("that folder has no model.safetensors; save the model as safetensors")
    for name, value in _numbers(_read_json(folder / "config.json")):
        most = max(count, MOST_MODULES) if COUNTED.search(name) else LARGEST_SIZE
        if abs(value) > most and not any(word in name for word in UNBOUNDED):
            raise Refused(f"config.json: {shown(name)} is {value:,}, and a checkpoint like this has at most {most:,}")
    _check_memory(folder, size)


def check_tokenizer(folder: Path) -> None:
    """Raise Refused if no file of a checkpoint can be a tokenizer; transformers would make one without tokens."""
    if not any(path.match(name) for path in folder.iterdir() for name in TOKENIZERS):
        raise Refused("that folder has no tokenizer (tokenizer.json, tokenizer.model or vocab.json)")


def _read_json(path: Path) -> dict[str, Any]:
    """Return the object that a file has; raise Refused if it is too large, nested too deeply, or no object."""
    if (size := path.stat().st_size) > LARGEST_JSON:
        raise Refused(f"{in_ascii(path.name)} has {size:,} bytes, more than {LARGEST_JSON:,}")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise Refused(f"{in_ascii(path.name)} is not valid JSON") from error
    if not isinstance(content, dict):
        raise Refused(f"{in_ascii(path.name)} is not a JSON object")
    level: list[Any] = [content]
    for _ in range(MOST_LEVELS):
        level = [each for value in level for each in _inside(value)]
    if level:
        raise Refused(f"{in_ascii(path.name)} is nested more than {MOST_LEVELS} levels deep")
    return content


def _inside(value: object) -> list[Any]:
    """Return the objects and lists directly in a JSON value."""
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [each for each in values if isinstance(each, dict | list)]


def _numbers(value: object, name: str = "") -> Iterator[tuple[str, float]]:
    """Yield every number of a configuration with the name of its setting."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _numbers(each, str(key))
    elif isinstance(value, list):
        for each in value:
            yield from _numbers(each, name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, value


def _weights(folder: Path) -> tuple[int, int]:
    """Return how many tensors the weights of a checkpoint have, and how many bytes; no tensor is read."""
    count, size = 0, 0
    for path in sorted(folder.glob("*.safetensors")):
        with reading(in_ascii(path.name)), safe_open(path, framework="pt") as tensors:
            count += len(tensors.keys())
        size += path.stat().st_size
    return count, size


def _check_memory(folder: Path, size: int) -> None:
    """Raise Refused if the model would need more memory than its weights can fill; no memory is allocated."""
    with reading("config.json"), torch.device("meta"):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    parameters = sum(tensor.numel() for tensor in model.parameters())
    elements = parameters + sum(tensor.numel() for tensor in model.buffers())
    if parameters > PER_BYTE * size or elements > PER_BYTE * size + BUFFERS:
        raise Refused(f"config.json describes {parameters:,} parameters, and the weights have only {size:,} bytes")
