"""The ids of a tokenizer as text: which ids begin a row, which end a response, and which no person can read.

Everything here follows from texts and not from ids, so it holds for byte-level BPE (GPT-2, Llama 3, Qwen), for
SentencePiece (Llama 2, Gemma) and for tokenizers whose vocabulary joins a text rule with its neighbours.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from data.errors import Refused

BROKEN = "\ufffd"  # what a decoder writes for bytes that are no character
WORD = "a"
BEHIND = ("", WORD, f" {WORD}")  # texts after a stop
Sequences = list[list[int]]


def plain_ids(tokenizer: Any, text: str) -> list[int]:
    """Return the ids of a text without the tokens that the tokenizer puts around it."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids


def foreign_ids(tokenizer: Any, text: str) -> list[int]:
    """Return the ids of a foreign text, in which "<|endoftext|>" is thirteen characters and no special token."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
    return ids


def inner_ids(tokenizer: Any, text: str, encode: Callable[[Any, str], list[int]] = plain_ids) -> list[int]:
    """Return the ids of a text that continues another one.

    SentencePiece as in Llama 2 puts a space before every text, which would be a second one inside a text. So a newline
    is encoded before it and left out.
    """
    start, skip = inner_start(tokenizer)
    return encode(tokenizer, start + text)[skip:]


def inner_start(tokenizer: Any) -> tuple[str, int]:
    """Return a text to put before a text that continues another one, and how many tokens of it to leave out."""
    newline, after_word = (
        plain_ids(tokenizer, "\n"),
        plain_ids(tokenizer, f"{WORD}.")[len(plain_ids(tokenizer, WORD)) :],
    )
    separate = plain_ids(tokenizer, f"\n{WORD}")[: len(newline)] == newline
    return ("\n", len(newline)) if plain_ids(tokenizer, ".") != after_word and separate else ("", 0)


def begin(tokenizer: Any) -> list[int]:
    """Return what the tokenizer puts before every text by itself: BOS, or nothing as for GPT-2."""
    word = plain_ids(tokenizer, WORD)
    whole: list[int] = tokenizer.encode(WORD)
    places = [at for at in range(len(whole)) if whole[at : at + len(word)] == word]
    return whole[: places[0]] if places else []


@lru_cache(maxsize=4)
def inner_texts(tokenizer: Any) -> list[str]:
    """Return the text of each id inside another text, where SentencePiece keeps the space before a word.

    The text of a special token, and of an id without a token, is empty.
    """
    word = plain_ids(tokenizer, WORD)
    before = tokenizer.decode(word, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    rows = [[*word, token] for token in range(max(tokenizer.get_vocab().values()) + 1)]
    if (backend := getattr(tokenizer, "backend_tokenizer", None)) is not None:  # a third of the time
        texts = backend.decode_batch(rows, skip_special_tokens=True)
    else:
        texts = tokenizer.batch_decode(rows, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return [text.removeprefix(before) for text in texts]


def special_ids(tokenizer: Any) -> set[int]:
    """Return the ids of special tokens, which are no text."""
    added = {token for token, content in tokenizer.added_tokens_decoder.items() if content.special}
    return {*added, *map(int, tokenizer.all_special_ids)}


@lru_cache(maxsize=16)
def stops(tokenizer: Any, text: str) -> Sequences:
    """Return the token sequences that end a response or a query by a text rule, such as "." or a newline.

    A token is a stop if its text is the rule's, with nothing but white space behind it. If the rule is white space and
    the tokenizer joins several into one token (Llama 3, Qwen, Gemma), each token that contains the rule is a stop. If
    the tokenizer writes the rule as several tokens, this sequence is a stop. So "..." and " ." do not stop at ".".
    """
    if text in tokenizer.all_special_tokens or tokenizer.get_vocab().get(text) in special_ids(tokenizer):
        return [[tokenizer.get_vocab()[text]]]
    blank = not text.strip()
    written = [way for after in BEHIND if (way := _inside(tokenizer, text, after))]
    joined = blank and [len(_inside(tokenizer, text * 2, after)) for after in BEHIND[1:]] == [1, 1]

    def is_stop(inner: str) -> bool:
        if blank:
            return text in inner if joined else inner == text
        return inner.startswith(text) and not inner[len(text) :].strip()

    singles = [[token] for token, inner in enumerate(inner_texts(tokenizer)) if is_stop(inner)]
    several = [way for way in written if way not in singles]
    found = singles + [way for number, way in enumerate(several) if way not in several[:number]]
    if not found:
        raise Refused(
            f"This base's tokenizer cannot write {text!r}, which a text rule of the campaign needs. Choose another "
            "text in [text], or another base."
        )
    return found


def _inside(tokenizer: Any, text: str, after: str) -> list[int]:
    """Return how the tokenizer writes a text behind a word and before `after`; nothing if it joins it with these."""
    before, end = plain_ids(tokenizer, WORD), plain_ids(tokenizer, WORD + text)
    whole = plain_ids(tokenizer, WORD + text + after)
    count = len(end) - len(before) if not after else len(whole) - len(before) - 1
    ids = whole[len(before) : len(before) + count]
    read = tokenizer.decode([*before, *ids], skip_special_tokens=True, clean_up_tokenization_spaces=False)
    fits = whole[: len(before)] == before and read == WORD + text
    return ids if fits else []
