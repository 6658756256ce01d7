"""What a supervised start learns from: the references of queries, and what labelers would have written."""

from data.batches.index import batches, key_rows
from data.batches.schema import TESTS
from data.campaign import Campaign
from data.campaign.queries import Query, is_held_out, load_queries
from data.errors import Refused
from data.labels.label_sets import read_label_set
from data.store import open_store
from models.lm.base import Base
from models.lm.tokens import encode_affixes, encode_query, encode_response, single_token
from models.supervised.fine_tune import Example
from models.training.job import Job


def references(job: Job, base: Base) -> tuple[list[Example], list[Example], int]:
    """Return the examples to train on, those held out, and how many of all are corrections by labelers.

    Raises Refused where either would be empty.
    """
    settings, text = job.campaign.supervised, job.campaign.text
    assert settings is not None
    queries = [query for query in load_queries(text, "train") if query.response]
    sides: list[list[Example]] = [[], []]
    for query in queries:
        if example := _example(base, query, job.campaign):
            sides[is_held_out(query.query_id, settings.validation_share)].append(example)
    corrections = _corrections(job, base)
    for query_id, example in corrections:
        sides[is_held_out(query_id, settings.validation_share)].append(example)
    train, validation = sides
    if not train and not validation:
        raise Refused(f"Campaign {job.campaign.name} fine-tunes on references, but its queries have no `response`.")
    if not train or not validation:
        share = f"a validation_share of {settings.validation_share}"
        raise Refused(
            f"Campaign {job.campaign.name} has {len(train + validation)} references, too few for {share}. Give more."
        )
    return train, validation, len(corrections)


def _corrections(job: Job, base: Base) -> list[tuple[str, Example]]:
    """Return what labelers would have written, as references beside the query's id."""
    store = open_store(job.store)
    document, labels = read_label_set(store, job.campaign.name, job.label_set)
    written = [label for label in labels if label.correction]
    sources = [batch for batch in batches(store, job.campaign.name) if batch["batch"] in document["batches"]]
    rows = {row["question_id"]: row for batch in sources for row in key_rows(batch)} if written else {}
    found = []
    for label in written:
        row = rows[label.question_id]
        query = Query(row["query_id"], row["query"], label.correction)
        if row["role"] not in TESTS and (example := _example(base, query, job.campaign)):
            found.append((query.query_id, example))
    return found


def _example(base: Base, query: Query, campaign: Campaign) -> Example | None:
    tokens = encode_query(base.tokenizer, query.text, campaign.text)
    if not tokens or not query.response:
        return None
    stop = single_token(base.tokenizer, campaign.text.truncate_at)
    response = encode_response(base.tokenizer, query.response, campaign.text)
    if not response:
        return None
    if response[-1] != stop:  # a policy that learns from it must also learn to end
        response = [*response, stop][: campaign.text.response_tokens]
    return encode_affixes(base.tokenizer, campaign.text).around(tokens), response
