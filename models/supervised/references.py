"""Examples of supervised fine-tuning: reference responses of queries, and corrections by labelers."""

from data.batches.index import key_rows
from data.batches.schema import TESTS
from data.campaign.queries import Query, is_held_out, load_queries
from data.errors import Refused
from data.labels.label_sets import batches_of, read_label_set
from models.lm.base import Base
from models.lm.prompts import Prompts
from models.supervised.fine_tune import Example
from models.training.job import Job


def references(job: Job, base: Base) -> tuple[list[Example], list[Example], int]:
    """Return the examples to train on, the held-out examples, and the number of corrections by labelers among them.

    Raises Refused if either list would be empty.
    """
    settings, text = job.campaign.supervised, job.campaign.text
    assert settings is not None
    prompts = base.prompts(text)
    queries = [query for query in load_queries(text, "train") if query.response]
    sides: list[list[Example]] = [[], []]
    for query in queries:
        if example := _example(prompts, query):
            sides[is_held_out(query.query_id, settings.validation_share)].append(example)
    corrections = _corrections(job, prompts)
    for query_id, example in corrections:
        sides[is_held_out(query_id, settings.validation_share)].append(example)
    train, validation = sides
    if not train and not validation:
        raise Refused(
            f"Campaign {job.campaign.name} fine-tunes on references, but its queries have no `response`. Add "
            "responses, or remove [supervised]."
        )
    if not train or not validation:
        share = f"a validation_share of {settings.validation_share}"
        raise Refused(
            f"Campaign {job.campaign.name} has {len(train + validation)} references, too few for {share}. Give more."
        )
    return train, validation, len(corrections)


def _corrections(job: Job, prompts: Prompts) -> list[tuple[str, Example]]:
    """Return the corrections by labelers as examples, each with the id of its query."""
    store = job.plain_store
    document, labels = read_label_set(store, job.campaign.name, job.label_set)
    corrected = [label for label in labels if label.correction]
    sources = batches_of(store, job.campaign.name, document)
    rows = {row["question_id"]: row for batch in sources for row in key_rows(batch)} if corrected else {}
    examples = []
    for label in corrected:
        row = rows[label.question_id]
        query = Query(row["query_id"], row["query"], label.correction)
        if row["role"] not in TESTS and (example := _example(prompts, query)):
            examples.append((query.query_id, example))
    return examples


def _example(prompts: Prompts, query: Query) -> Example | None:
    tokens = prompts.encode(query.text)
    if not tokens or not query.response:
        return None
    response = prompts.encode_response(query.response)
    if not response:
        return None
    if response not in (response[: -len(stop)] + stop for stop in prompts.stops):
        # The policy must also learn to end its responses.
        response = [*response, *prompts.stop][: prompts.fmt.response_tokens]
    return prompts.surround(tokens), response
