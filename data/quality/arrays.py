"""All answers to a batch as parallel arrays: the input of the diagnosis."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.batches.key import Key
from data.measures.agreement import Integers


@dataclass(frozen=True)
class Answers:
    """Arrays with one entry an answer, in the order of delivery. UNKNOWN marks a missing number.

    The numbers have small types, because there may be five million answers.
    """

    k: int
    items: Integers  # [N], equal for copies of one question
    labelers: Integers  # [N], index into names
    samples: Integers  # [N], the chosen sample
    slots: Integers  # [N], its position as shown
    gold: Integers  # [N], the sample that is known to be best
    gold_slots: Integers  # [N], its position as shown
    predicted: Integers  # [N], the sample with the highest score by the last reward model
    predicted_slots: Integers  # [N], its position as shown
    seconds: NDArray[np.float64]  # [N], nan if unknown
    words: Integers  # [N], number of words in the query and all options
    names: list[str]

    def take(self, chosen: NDArray[Any] | slice) -> "Answers":
        """Return some of the answers, by mask, index or slice."""
        if isinstance(chosen, np.ndarray) and chosen.dtype == bool and chosen.all():
            return self  # answers are never changed, so no copy is needed
        columns = [field.name for field in fields(self) if field.name not in ("k", "names")]
        return replace(self, **{name: getattr(self, name)[chosen] for name in columns})

    def by_labeler(self) -> Iterator["Answers"]:
        """Yield the answers of each labeler, in the order of the names."""
        ordered = self.take(np.argsort(self.labelers, kind="stable"))
        ends = np.searchsorted(ordered.labelers, np.arange(len(self.names) + 1))
        yield from (ordered.take(slice(*both)) for both in pairwise(ends.tolist()))

    def __len__(self) -> int:
        return len(self.items)


class BestChoices(NamedTuple):
    """The labels with one best sample, as parallel arrays."""

    questions: Integers  # index in the key
    labelers: Integers  # index into names
    samples: Integers
    slots: Integers  # position of the sample as shown
    seconds: NDArray[np.float64]  # nan if unknown
    names: list[str]


def best_choices(labels: pa.Table, key: Key) -> BestChoices:
    """Return the labels (columns of data.labels.table.LABEL) with one best sample."""
    labels = labels.filter(pc.and_(pc.is_valid(labels["best_sample"]), pc.is_valid(labels["best_shown"])))
    who = labels["labeler_id"].combine_chunks().dictionary_encode()
    return BestChoices(
        key.find(labels["question_id"].combine_chunks()).to_numpy().astype(np.int32),
        who.indices.to_numpy().astype(np.int32),
        labels["best_sample"].to_numpy().astype(np.int16),
        labels["best_shown"].to_numpy().astype(np.int16),
        labels["seconds"].combine_chunks().fill_null(np.nan).to_numpy(),
        who.dictionary.to_pylist(),
    )


def to_arrays(key: Key, labels: BestChoices, predicted: Mapping[str, int]) -> Answers:
    """Join labels with the key of their batch, and with the last reward model's predictions by question id."""
    predicted_samples = key.predicted_index(predicted)
    questions = labels.questions
    return Answers(
        k=key.k,
        items=key.items.astype(np.int32)[questions],
        labelers=labels.labelers,
        samples=labels.samples,
        slots=labels.slots,
        gold=key.gold.astype(np.int16)[questions],
        gold_slots=key.slots(key.gold).astype(np.int16)[questions],
        predicted=predicted_samples.astype(np.int16)[questions],
        predicted_slots=key.slots(predicted_samples).astype(np.int16)[questions],
        seconds=labels.seconds,
        words=key.words.astype(np.int32)[questions],
        names=labels.names,
    )
