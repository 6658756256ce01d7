"""Evaluation: systems answer with valid responses, are judged blind, and the base does not diverge from itself."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from data.campaign import load_campaign
from data.campaign.settings import Labelers
from data.errors import Refused
from data.evaluation.judgements import judge_pairs, pair_results, ratings, result_for
from data.evaluation.systems import System
from data.measures.words import lead
from data.store import LocalStore
from data.store.manifest import publish
from models.evaluation.responses import EncodedQuery, behaviour, respond, scores_of
from models.evaluation.systems import Clock, run_systems
from models.lm.base import Base, trainable_copy
from models.reward.ensemble import Ensemble
from models.reward.model import new_reward_model

RULES = load_campaign("sentiment").text
QUERIES = [[5, 9, 300, 7], [8] * 40, [1, 2], [90, 91, 92]] * 5
ASKED = [
    EncodedQuery(f"q{n}", "One. Two. Three. Four.", tokens, "Some." if n else None) for n, tokens in enumerate(QUERIES)
]
JUDGES = Labelers(prefers="positive", count=5, noise=0.0, slot_bias=0.0, error_rate=0.0, seed=9)
SHOWN = {f"q{n}": f"Passage {n}." for n in range(300)}


def test_the_base_does_not_diverge_from_itself_and_another_model_does(tiny: Base) -> None:
    itself = behaviour(tiny.model, tiny, QUERIES, tiny.prompts(RULES), seed=0)
    assert abs(itself.kl) < 1e-3 and 0 < itself.valid < 1
    other = trainable_copy(tiny.model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    alone = behaviour(other, tiny, QUERIES[:1], tiny.prompts(RULES), seed=0)
    assert alone.kl_standard_error == 0.0, "of one there is no spread, and JSON has no NaN"
    moved = behaviour(other, tiny, QUERIES, tiny.prompts(RULES), seed=0)
    assert moved.kl > 4 * moved.kl_standard_error > 0


def test_models_answer_with_valid_truncated_responses_and_no_two_with_the_same_numbers(tiny: Base) -> None:
    stop = tiny.tokenizer.convert_tokens_to_ids(".")
    one, other = (
        respond(System(name, "model"), tiny.model, tiny.prompts(RULES), None, ASKED, 0) for name in ("a", "b")
    )
    assert all(each is not None and each.tokens[-1] == stop for each in one)
    assert one != other and one == respond(System("a", "model"), tiny.model, tiny.prompts(RULES), None, ASKED, 0)


@pytest.mark.slow
def test_the_best_of_n_is_the_bases_and_scores_higher(tiny: Base) -> None:
    score = Ensemble([new_reward_model(tiny.model, 0)])
    systems = System("zero-shot", "model"), System("best-of-8", "best of", "run-x", None, 8)
    gains = []
    for seed in range(4):
        answers = [[r for r in respond(s, tiny.model, tiny.prompts(RULES), score, ASKED, seed) if r] for s in systems]
        zero_shot, best = (torch.tensor(scores) for scores in scores_of(score, ASKED, answers))
        gains.append(float((best - zero_shot).mean()))
    assert sum(gains) / 4 > 0.12, "five standard errors: the best of one would gain nothing"


@pytest.mark.slow
def test_the_best_of_n_is_chosen_by_the_run_it_names_whoever_scores_all(tiny: Base, tmp_path: Path) -> None:
    store, campaign = LocalStore(tmp_path / "store"), load_campaign("sentiment", changes={"base": tiny.name})
    for number, name in enumerate(("run-a", "run-b")):
        Ensemble([new_reward_model(tiny.model, number)]).save(tmp_path / name)
        files: dict[str, Path | bytes] = {each.name: each for each in (tmp_path / name).iterdir()}
        now = datetime.now(UTC)
        publish(store, f"campaigns/sentiment/runs/{name}/reward", "reward", files, inputs={}, facts={}, began=now)
    systems = System("zero-shot", "model"), System("best-of-8", "best of", "run-a", None, 8)
    by_a, by_b = (run_systems(store, campaign, tiny, systems, each, 24, 0, Clock()) for each in ("run-a", "run-b"))
    assert by_a.texts() == by_b.texts() and by_a.scores != by_b.scores
    other = systems[0], systems[1]._replace(run="run-b")
    assert run_systems(store, campaign, tiny, other, "run-a", 24, 0, Clock()).texts() != by_a.texts()


def test_references_and_leads_are_texts_as_they_stand(tiny: Base) -> None:
    assert lead('"No!" he said. "Why?" Nobody knew. The end.', 2) == '"No!" he said.'
    leads = respond(System("lead-3", "lead"), tiny.model, tiny.prompts(RULES), None, ASKED, 0)
    assert {each.text for each in leads if each} == {"One. Two. Three."}
    references = respond(System("reference", "reference"), tiny.model, tiny.prompts(RULES), None, ASKED, 0)
    assert references[0] is None and references[1] is not None and references[1].text == "Some."
    without = [query._replace(reference=None) for query in ASKED]
    with pytest.raises(Refused, match="none of the test queries in embedded has a reference"):
        respond(System("reference", "reference"), tiny.model, tiny.prompts(RULES), None, without, 0)


def test_beside_references_the_queries_that_have_one_are_asked(tiny: Base, tmp_path: Path) -> None:
    rows = [{"text": f"He went home {n}. It rained. He slept.", "response": "Home." * (n % 4 == 0)} for n in range(80)]
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries/test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = RULES.model_copy(update={"queries": str(tmp_path / "queries"), "query_starts_after": None})
    campaign = load_campaign("sentiment", changes={"base": tiny.name}).model_copy(update={"text": text})
    systems = System("reference", "reference"), System("lead-3", "lead")
    found = run_systems(LocalStore(tmp_path / "store"), campaign, tiny, systems, None, 15, 0, Clock())
    assert len(found.queries) == 15 and all(each.reference for each in found.queries)


def test_a_judge_is_blind_to_who_wrote_what() -> None:
    texts = {"good": ["She was delighted and happy."] * 300, "bad": ["He was miserable and cruel."] * 300}
    (found,) = pair_results(judge_pairs(JUDGES, SHOWN, texts))
    assert (found.left, found.right, found.win_rate.value) == ("good", "bad", 1.0)
    turned = result_for([found], "bad", "good")
    assert turned is not None and turned.win_rate.value == 0.0 and turned.win_rate.high == 1 - found.win_rate.low
    assert result_for([found], "good", "other") is None


def test_judges_who_read_the_source_are_shown_it() -> None:
    sources = {f"q{n}": f"The harvest of {n} was abundant. The treaty was signed." for n in range(300)}
    of_its_own = [f"The harvest of {n} was abundant." for n in range(300)]
    texts = {"its own": of_its_own, "the next": [*of_its_own[1:], of_its_own[0]]}
    (found,) = pair_results(judge_pairs(JUDGES.model_copy(update={"prefers": "faithful"}), sources, texts))
    assert found.win_rate.value == 1.0


def test_fondness_of_a_position_cancels_out_and_equal_texts_tie() -> None:
    fond = JUDGES.model_copy(update={"slot_bias": 50.0, "count": 1})
    texts = {"a": ["The table stood in the room."] * 300, "b": ["The table stood in this room."] * 300}
    (found,) = pair_results(judge_pairs(fond, SHOWN, texts))
    assert 0.4 < found.win_rate.value < 0.6
    assert {each.won for each in judge_pairs(fond, SHOWN, {"a": texts["a"], "b": texts["a"]})} == {0.5}


def test_all_systems_stand_on_one_scale_with_intervals() -> None:
    glad = ["He was sad.", "He sat there.", "He was happy."]
    texts = {name: [text] * 300 for name, text in zip(("low", "middle", "high"), glad, strict=True)}
    rated = ratings(
        list(judge_pairs(JUDGES.model_copy(update={"error_rate": 0.4}), SHOWN, texts)), list(texts), "middle"
    )
    assert rated["middle"].elo == 0 and rated["low"].high < 0 < rated["high"].low
