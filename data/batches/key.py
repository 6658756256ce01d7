"""The key of a batch as columns: its questions, the position of each sample, and the known answers.

Token ids are left out. Models read them through data/batches/schema.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data.batches.schema import BY_PEOPLE
from data.canonical import sha256

Ints = NDArray[np.int64]
UNKNOWN = -1


@dataclass(frozen=True)
class Key:
    """The key of Q questions with k samples, in the order of the file. UNKNOWN marks a missing number."""

    ids: pa.Array
    hashes: pa.Array  # content_sha256
    shown: Ints  # [Q, k], shown[q, position] = the sample there
    items: Ints  # [Q], equal for copies of one question
    gold: Ints  # [Q], the sample that is known to be best
    watched: Ints  # [Q], the watched sample of a drift question
    words: Ints  # [Q], number of words in the query and all options

    @property
    def k(self) -> int:
        return int(self.shown.shape[1])

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, questions: pa.Array) -> pa.Array:
        """Return the indices of question ids in this key, null for unknown ids."""
        return pc.index_in(questions, value_set=self.ids)

    def slots(self, samples: Ints) -> Ints:
        """Return the positions at which samples [Q] were shown, UNKNOWN for UNKNOWN samples."""
        places = np.take_along_axis(np.argsort(self.shown, 1), np.maximum(samples, 0)[:, None], 1)[:, 0]
        return np.where(samples == UNKNOWN, UNKNOWN, places)

    def predicted_index(self, predicted: Mapping[str, int]) -> Ints:
        """Return the predicted sample [Q] of each question from predictions by id, UNKNOWN without one."""
        if not predicted:
            return np.full(len(self), UNKNOWN)
        return np.array([predicted.get(name, UNKNOWN) for name in self.ids.to_pylist()], np.int64)


def text_hashes(columns: Sequence[pa.Array]) -> pa.Array:
    """Return the hash of the texts in each row of several columns."""
    joined = pc.binary_join_element_wise(*columns, "\0", null_handling="replace")
    return pa.array([sha256(text) for text in joined.cast(pa.binary()).to_pylist()], pa.string())


def shown_text_hashes(path: Path, names: Sequence[str]) -> pa.Array:
    """Return text_hashes of the shown texts of a key, in the columns `names` (`query` and `option_<n>`)."""
    hashes = [pa.array([], pa.string())]
    file = pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
    for part in file.iter_batches(10_000, columns=["query", "samples.list.element.text", "shown"], use_threads=False):
        shown = part.column("shown").flatten().to_numpy().reshape(part.num_rows, -1)
        texts = pc.struct_field(part.column("samples").flatten(), "text")
        first = np.arange(part.num_rows) * shown.shape[1]
        by_name = {f"option_{n}": texts.take(first + shown[:, n]) for n in range(shown.shape[1])}
        by_name["query"] = part.column("query")
        nothing = pa.repeat(pa.scalar(""), part.num_rows)
        hashes.append(text_hashes([by_name.get(name, nothing) for name in names]))
    return pa.concat_arrays(hashes)


def read_key_columns(path: Path) -> Key:
    """Read the key of a batch in parts. Old keys without roles are read too."""
    file = pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
    columns = [
        name
        for name in BY_PEOPLE
        if name.split(".")[0] in file.schema_arrow.names and name not in ("role", "selection_reason")
    ]
    parts = [_columns(part) for part in file.iter_batches(10_000, columns=columns, use_threads=False)]
    if not parts:
        raise ValueError(f"{path} has no question")
    joined = {name: [part[name] for part in parts] for name in parts[0]}
    items = pa.concat_arrays(joined["items"]).dictionary_encode().indices.to_numpy().astype(np.int64)
    numbers = {name: np.concatenate(joined[name]) for name in ("shown", "gold", "watched", "words")}
    pa.default_memory_pool().release_unused()  # the texts are not needed any more
    return Key(pa.concat_arrays(joined["ids"]), pa.concat_arrays(joined["hashes"]), items=items, **numbers)


def _columns(part: pa.RecordBatch) -> dict[str, pa.Array | Ints]:
    count = part.num_rows
    ids = part.column("question_id")
    texts = pc.struct_field(part.column("samples").flatten(), "text")
    spaces = pc.count_substring(texts, " ").to_numpy().reshape(count, -1)
    words = pc.count_substring(part.column("query"), " ").to_numpy() + 1 + (spaces + 1).sum(1)
    names = part.schema.names
    gold, watched = (
        part.column(name).fill_null(UNKNOWN).to_numpy() if name in names else np.full(count, UNKNOWN)
        for name in ("gold", "watched")
    )
    return {
        "ids": ids,
        "hashes": part.column("content_sha256"),
        "shown": part.column("shown").flatten().to_numpy().reshape(count, -1).astype(np.int64),
        "items": part.column("item") if "item" in names else ids,
        "gold": gold.astype(np.int64),
        "watched": watched.astype(np.int64),
        "words": words.astype(np.int64),
    }
