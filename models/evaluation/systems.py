"""Responses of several systems to the same test queries, with scores and the divergence of their models."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import pyarrow as pa

from data.campaign import Campaign
from data.console import say
from data.errors import Refused
from data.evaluation.facts import Costs
from data.evaluation.systems import CHAMPION, System, model_of
from data.paths import run_prefix
from data.store import Store
from data.store.manifest import read_manifest
from models.evaluation.responses import Behaviour, EncodedQuery, Response, behaviour, draw_queries, respond, scores_of
from models.lm.base import Base, open_base
from models.reward.ensemble import Ensemble, load_ensemble

T = TypeVar("T")
RESPONSES = pa.schema(
    [
        ("query_id", pa.string()),
        ("query", pa.string()),
        ("system", pa.string()),
        ("response", pa.string()),
        ("score", pa.float64()),  # by the reward model; null without one
        ("reference", pa.string()),  # null if the query has none
    ]
)


class Clock:
    """Measures the duration of an evaluation, and the part of it that the models need."""

    def __init__(self) -> None:
        self.began, self.of_models = time.perf_counter(), 0.0

    def models(self, work: Callable[[], T]) -> T:
        began = time.perf_counter()
        result = work()
        self.of_models += time.perf_counter() - began
        return result

    def facts(self) -> Costs:
        return {"seconds": round(time.perf_counter() - self.began, 2), "model_seconds": round(self.of_models, 2)}


class SystemResponses(NamedTuple):
    """The queries that every system answered, and the responses of each system."""

    queries: list[EncodedQuery]
    responses: dict[str, list[Response]]
    scores: dict[str, list[float]]  # empty without a reward model
    behaviours: dict[str, Behaviour]  # of all models but the base

    def texts(self) -> dict[str, list[str]]:
        return {name: [response.text for response in mine] for name, mine in self.responses.items()}

    def table(self) -> pa.Table:
        """Return everything as one long table (RESPONSES), query by query."""
        rows = [
            {
                "query_id": query.query_id,
                "query": query.text,
                "system": name,
                "response": mine[number].text,
                "score": self.scores[name][number] if self.scores else None,
                "reference": query.reference,
            }
            for number, query in enumerate(self.queries)
            for name, mine in self.responses.items()
        ]
        return pa.Table.from_pylist(rows, RESPONSES)


def run_systems(
    store: Store,
    campaign: Campaign,
    base: Base,
    systems: Sequence[System],
    scorer: str | None,
    count: int,
    seed: int,
    clock: Clock,
) -> SystemResponses:
    """Return the responses of every system, with one model in memory at a time.

    `scorer` is the run whose reward model scores the responses. Raises Refused if no query is answered by all systems.
    """
    prompts, referenced = base.prompts(campaign.text), any(system.kind == "reference" for system in systems)
    drawn = draw_queries(prompts, count, referenced)
    score = clock.models(lambda: _scorer(store, campaign, scorer))
    answers: dict[str, list[Response | None]] = {}
    behaviours: dict[str, Behaviour] = {}

    def ask(system: System) -> None:
        model = base if system.model is None else _opened(store, campaign, system, base)
        chooses = _scorer(store, campaign, system.run) if system.kind == "best of" and system.run != scorer else score
        answers[system.name] = respond(system, model.model, prompts, chooses, drawn, seed)
        if system.model is not None:
            measured = behaviour(model.model, base, [query.tokens for query in drawn[:count]], prompts, seed)
            behaviours[system.name] = measured
            say(f"evaluation: {system.name}: KL {measured.kl:.1f} nats a sequence, {measured.valid:.0%} valid")

    for system in systems:
        if system.kind in ("reference", "lead"):
            ask(system)
        else:
            clock.models(lambda system=system: ask(system))  # type: ignore[misc]
    whole = [i for i in range(len(drawn)) if all(mine[i] is not None for mine in answers.values())][:count]
    if not whole:
        counts = ", ".join(f"{name} {sum(r is not None for r in mine)}" for name, mine in answers.items())
        raise Refused(
            f"No query of {len(drawn)} has a valid response of every system. Responses by system: {counts}. Leave out "
            "the system with the fewest responses."
        )
    if len(whole) < count:
        say(f"evaluation: only {len(whole):,} of {len(drawn):,} test queries were answered by all, wanted {count:,}")
    queries = [drawn[i] for i in whole]
    responses = {name: [r for i in whole if (r := mine[i]) is not None] for name, mine in answers.items()}
    scores = clock.models(lambda: scores_of(score, queries, list(responses.values()))) if score is not None else []
    return SystemResponses(queries, responses, dict(zip(responses, scores, strict=False)), behaviours)


def _scorer(store: Store, campaign: Campaign, run: str | None) -> Ensemble | None:
    published = None if run is None else read_manifest(store, f"{run_prefix(campaign.name, run)}/reward")
    return None if published is None else load_ensemble(published.folder())


def open_champion(store: Store, campaign: Campaign, leader: str, base: Base) -> Base:
    """Open the policy of the champion; raise Refused if its vocabulary differs from the base's."""
    system = System(CHAMPION, "model", leader, f"{run_prefix(campaign.name, leader)}/policy")
    return _opened(store, campaign, system, base)


def _opened(store: Store, campaign: Campaign, system: System, base: Base) -> Base:
    opened = open_base(str(model_of(store, system).folder()), campaign.text)
    if opened.vocabulary == base.vocabulary:
        return opened
    fix = f"Remove it with andon rollback {campaign.name}, or give the campaign another name."
    raise Refused(
        f"{system.name} {system.run} was trained from another base than {campaign.base}: its vocabulary differs."
        + (f" New rounds start from the champion. {fix}" if system.name == CHAMPION else "")
    )
