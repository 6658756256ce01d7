"""Tiny tokenizers of the kinds that published models have, trained on a few sentences."""

import json
from functools import cache

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

TEXTS = [
    "It was late. They went home.\n\nAnd then... He said: no.\nThe end of it.\n\n",
    "A man . A dog ### and a cat\n\nHe said\n \nThe words of a man... are few... he said...\n\n",
] * 20
JOINING = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"  # of Llama 3 and Qwen


@cache
def sentencepiece() -> PreTrainedTokenizerFast:
    """As Llama 2: a space before every text, single bytes where nothing else fits, and BOS."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("▁?\\.+|▁?[^▁.]+"), "isolated")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    alphabet = sorted(set("".join(TEXTS)) - set(" \n")) + ["▁"]
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=names, initial_alphabet=alphabet)
    tokenizer.train_from_iterator([text.replace("\n", "") for text in TEXTS], trainer)
    trained = json.loads(tokenizer.to_str())
    trained["added_tokens"] = trained["added_tokens"][:3]  # bytes are no special tokens
    return _whole(Tokenizer.from_str(json.dumps(trained)), "<s>", "</s>")


@cache
def joining() -> PreTrainedTokenizerFast:
    """As Llama 3: byte-level, with tokens that join newlines with each other and with a full stop, and BOS."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(JOINING), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<bos>", "<eos>", "<role>"],
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return _whole(tokenizer, "<bos>", "<eos>")


def _whole(tokenizer: Tokenizer, bos: str, eos: str) -> PreTrainedTokenizerFast:
    pairs = [(bos, tokenizer.token_to_id(bos))]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=pairs)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, eos_token=eos)
