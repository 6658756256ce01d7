"""Comparisons from labels: the training examples of a reward model, and the held-out set that measures it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from data.batches.composition import DISAGREEMENT
from data.batches.index import Batch
from data.batches.schema import TESTS, read_key
from data.campaign.queries import is_held_out
from data.errors import Refused
from data.labels.label_sets import Label
from data.paths import KEY_FILE
from models.lm.base import Base
from models.lm.prompts import Prompts
from models.lm.sampling import draw_noise, sample_in_pieces
from models.lm.tokens import PAD
from models.reward.preferences import Comparison
from models.reward.targets import correction_wins, habits_of, has_a_best, target_of
from models.training.loop import Look, in_chunks, unwatched
from models.training.processes import processes

MOST_PASSES = 50  # over the queries, to sample the responses on which scores are normalised


class Split(NamedTuple):
    """Comparisons by query, so that no query is on both sides."""

    train: list[Comparison]
    held_out: list[Comparison]


def split_comparisons(
    base: Base, batches: Sequence[Batch], labels: Sequence[Label], prompts: Prompts, held_out_share: float
) -> Split:
    """Join labels with the samples of their batches; return one comparison a label, in the order of the labels.

    The sampled tokens are used if the base has the same vocabulary, else the texts are encoded again. A correction is
    one more comparison to train on. Held-out labels that prefer no response are dropped. Raises Refused if no question
    is left to train on.
    """
    questions = {}
    for batch in batches:
        same = batch["vocabulary"] == base.vocabulary
        for row in read_key(batch.path(KEY_FILE)):
            questions[row["question_id"]] = (same, row)
    split, habits = Split([], []), habits_of(labels)
    for label in labels:
        same, row = questions[label.question_id]
        tokens = question_tokens(prompts, row, same)
        if not tokens or row["role"] in TESTS or (comparison := target_of(label, *tokens, habits)) is None:
            continue
        held_out = is_held_out(row["query_id"], held_out_share)
        if (
            held_out and row["selection_reason"] == DISAGREEMENT
        ):  # selected questions are hard and would bias the measure
            continue
        if held_out:
            split.held_out.extend([comparison] if has_a_best(comparison) else [])
            continue
        split.train.append(comparison)
        if label.correction:
            better = prompts.encode_response(label.correction)
            split.train.extend(filter(None, [correction_wins(label, *tokens, better)]))
    if not split.train:
        raise Refused("The label set has no question to train on. Ingest more labels first.")
    if not any(map(has_a_best, [*split.train, *split.held_out])):
        raise Refused(
            f"None of the {len(labels)} labels prefers a response: all of them tie, so nothing can be learned. Label "
            "questions whose responses differ, or ask for a choice."
        )
    return split


def question_tokens(prompts: Prompts, row: Mapping[str, Any], same: bool) -> tuple[list[int], list[list[int]]] | None:
    """Return the tokens of query and responses of a key's row, as sampled if the base has the `same` vocabulary.

    None if the query does not satisfy the campaign's text rules.
    """
    if same and row["query_tokens"]:
        return prompts.begun(row["query_tokens"]), [sample["tokens"] for sample in row["samples"]]
    query = prompts.encode(row["query"])
    return (query, [prompts.encode_response(s["text"]) for s in row["samples"]]) if query else None


def preferred(
    base: Base, score: Callable[[Sequence[Comparison]], Tensor], batch: Batch, prompts: Prompts
) -> dict[str, int]:
    """Return the sample with the highest score for each sampled question of a batch, by question id.

    `score` returns scores [members, N, k].
    """
    same = batch["vocabulary"] == base.vocabulary
    rows = [row for row in read_key(batch.path(KEY_FILE)) if row["role"] not in TESTS]
    tokens = {row["question_id"]: question_tokens(prompts, row, same) for row in rows}
    comparisons = {name: Comparison(*pair) for name, pair in tokens.items() if pair is not None}
    if not comparisons:
        return {}
    best = score(list(comparisons.values())).mean(0).argmax(-1)
    return dict(zip(comparisons, best.tolist(), strict=True))


@torch.no_grad()
def base_responses(
    base: Base,
    queries: Sequence[list[int]],
    prompts: Prompts,
    count: int,
    seed: int,
    scored: bool = True,
    look: Look = unwatched,
) -> list[Comparison]:
    """Sample `count` responses of the base, one a row, to normalise scores on.

    With `scored`, they are truncated and valid, as PPO scores them. Otherwise they are complete, as in the released
    code. All processes return the responses of the first one, because all must end after the same pass. Raises Refused
    if the base ends too few sentences.
    """
    device = next(base.model.parameters()).device
    draw = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(queries), generator=torch.Generator().manual_seed(seed))
    sampled: list[Comparison] = []
    for part in in_chunks(range(MOST_PASSES * len(queries)), 64):
        rows = [queries[int(order[i % len(queries)])] for i in part]
        contexts = prompts.contexts(rows).to(device)
        noise = draw_noise(len(rows), 4, prompts.fmt, draw)
        tokens = sample_in_pieces(base.model, contexts, noise, prompts.fmt, look=look).tokens
        tokens = processes().of_the_first(tokens)
        cut, valid = prompts.truncate(tokens) if scored else (tokens, torch.ones_like(tokens[..., 0]))
        for query, responses, goods in zip(rows, cut.tolist(), valid.tolist(), strict=True):
            kept = [[t for t in response if t != PAD] for response, good in zip(responses, goods, strict=True) if good]
            sampled += [Comparison(query, [response]) for response in kept]
        if len(sampled) >= count:
            return sampled[:count]
    raise Refused(
        f"The base gave {len(sampled)} of {count} valid responses in {MOST_PASSES} passes: it ends too few sentences "
        "by the campaign's rules. Change truncate_at or response_tokens in [text], or the base."
    )
