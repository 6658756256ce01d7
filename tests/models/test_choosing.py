"""Choosing questions: where reward models disagree, and no two alike; drawn at random stays drawn at random."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from data.batches.schema import Question, Sample
from data.campaign import Campaign
from data.paths import run_prefix
from data.store import LocalStore
from data.store.manifest import publish
from models.lm.base import Base
from models.questions.active import chosen_by_disagreement, disagreement, drawn_at_random, embeddings, greedy
from models.reward.ensemble import Ensemble
from models.reward.model import new_reward_model
from tasks.batches import last_reward_model


def test_a_reward_model_that_began_with_references_reads_what_the_base_writes(
    campaign: Campaign, tiny: Base, tmp_path: Path
) -> None:
    store, prefix = LocalStore(tmp_path / "store"), run_prefix(campaign.name, "run-1")
    made = {"supervised": tiny.fingerprint, "reward": "what the references made", "run": ""}
    for name, base in made.items():
        where = prefix if name == "run" else f"{prefix}/{name}"
        publish(store, where, name, {"x": b""}, inputs={"base": base}, facts={"run": "run-1"}, began=datetime.now(UTC))
    found = last_reward_model(store, campaign, tiny)
    assert found is not None and found.prefix == f"{prefix}/reward"
    assert last_reward_model(store, campaign, replace(tiny, fingerprint="another")) is None


def test_doubt_is_no_disagreement() -> None:
    sure = torch.tensor([9.0, 0, 0, 0])
    flat = torch.zeros(4)
    scores = torch.stack(
        [torch.stack([sure, flat, sure]), torch.stack([sure, flat, sure.roll(1)])]
    )  # agreed, in doubt, opposed
    agreed, doubt, opposed = disagreement(scores).tolist()
    assert abs(agreed) < 1e-9 and abs(doubt) < 1e-9
    assert opposed == disagreement(scores + 5).tolist()[2] and 0.6 < opposed <= torch.log(torch.tensor(2.0))


def test_the_second_of_two_like_questions_yields_to_another() -> None:
    places = torch.tensor([[1.0, 0], [1.0, 0], [0, 1.0]])
    assert greedy(torch.tensor([1.0, 0.9, 0.5]), places, 2) == [0, 2]
    assert greedy(torch.tensor([1.0, 0.9, 0.5]), places, 9) == [0, 2, 1], "nothing is taken twice"


def test_a_direction_does_not_depend_on_the_queries_beside_it(tiny: Base) -> None:
    queries = [[5, 9, 300, 7], [8] * 40, [1, 2]]
    together, one_by_one = embeddings(tiny, queries), embeddings(tiny, queries, chunk=1)
    torch.testing.assert_close(together, one_by_one, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(together.norm(dim=-1), torch.ones(3))


def test_what_is_chosen_says_why(tiny: Base) -> None:
    draw = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, 200, (12, 5, 6), generator=draw).tolist()
    questions = [
        Question(f"q{n}", str(query), query, tuple(Sample(str(part), part, "base") for part in parts))
        for n, (query, *parts) in enumerate(tokens)
    ]
    ensemble = Ensemble([new_reward_model(tiny.model, seed) for seed in (1, 2)])
    chosen = chosen_by_disagreement(tiny, ensemble, questions, 5)
    assert len({question.query_id for question in chosen}) == 5
    assert {question.selection_reason for question in chosen} == {"disagreement"}
    assert all(question.selection_score is not None and question.selection_score > 0 for question in chosen)
    assert {(q.selection_reason, q.selection_score) for q in drawn_at_random(questions)} == {("random", None)}
