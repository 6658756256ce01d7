"""Prefect task of the human evaluation: sample two systems and publish blind questions which of them is better."""

from datetime import UTC, datetime

from prefect import task
from prefect.cache_policies import NO_CACHE

from data.batches.composition import compose
from data.batches.index import BatchFacts
from data.batches.publish import Draft, publish_draft
from data.batches.schema import Question, Sample
from data.campaign import Campaign
from data.campaign.queries import edition
from data.canonical import content_id
from data.console import say
from data.errors import Refused
from data.evaluation.human_evaluation import human_evaluations, identity
from data.evaluation.systems import find_systems, other_rules
from data.paths import comparisons_of
from data.reports.evaluation import rule_warnings
from data.store import open_store
from models.evaluation.systems import Clock, run_systems
from models.lm.base import open_base


@task(cache_policy=NO_CACHE)
def publish_comparison(store_uri: str, campaign: Campaign, names: tuple[str, str], seed: int) -> str:
    """Publish blind questions about two systems on the campaign's test queries, and return the id of the batch.

    Queries with equal responses are not composed and count as ties. Copies for other labelers are as in the campaign's
    batches. There are no gold questions, because no answer is known.
    """
    store, name = open_store(store_uri), comparisons_of(campaign.name)
    systems = find_systems(store, campaign, names)
    left, right = (identity(system) for system in systems)
    rules = [campaign.text.model_dump(), campaign.evaluation.queries, campaign.shown_instructions]
    shares = {"overlap_share": campaign.batch.overlap_share, "overlap_copies": campaign.batch.overlap_copies}
    request = content_id([*sorted((left, right)), campaign.base, *rules, *edition(campaign.text), shares, seed])
    for earlier in human_evaluations(store, campaign.name):
        if str(earlier["batch"]).endswith(request):
            say(f"comparison: batch {earlier['batch']} is published")
            return str(earlier["batch"])
    for line in rule_warnings(other_rules(store, campaign, systems)):
        say(f"comparison: {line} For the gate they count only of a run that was trained with these rules.")
    number = len(human_evaluations(store, campaign.name)) + 1
    batch_id, began = f"h{number:03d}-{request}", datetime.now(UTC)
    base = open_base(campaign.base, campaign.text)
    scorer = next((system.run for system in systems if system.kind == "best of"), None)
    count = campaign.evaluation.queries
    say(f"comparison: {left} and {right} on {count:,} test queries")
    answered = run_systems(store, campaign, base, systems, scorer, count * 5 // 4, seed, Clock())
    questions: list[Question] = []
    equal = 0
    for query, one, other in zip(answered.queries, *answered.responses.values(), strict=True):
        if len(questions) == count:
            break
        if one.text == other.text:
            equal += 1
            continue
        samples = (Sample(one.text, one.tokens, left), Sample(other.text, other.tokens, right))
        questions.append(Question(query.query_id, query.text, query.tokens, samples))
    if not questions:
        raise Refused(f"{left} and {right} give equal responses to all {equal} queries. Choose two other systems.")
    alone = campaign.batch.model_copy(update={"gold_share": 0.0, "repeat_share": 0.0})
    composed = compose(questions, [], alone, seed)
    facts: BatchFacts = {"round": number, "samples": 2, "systems": [left, right], "equal": equal}
    facts |= {"vocabulary": base.vocabulary, "seed": seed}
    inputs = {"models": {system.name: system.model for system in systems if system.model}, "base": base.fingerprint}
    numbered = enumerate(composed)
    publish_draft(store, Draft(name, batch_id, campaign, numbered, len(composed), facts, inputs, began, "comparison"))
    return batch_id
