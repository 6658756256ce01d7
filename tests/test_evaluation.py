"""Evaluation: pairs of valid responses, judged blind, and KL that is zero for the base itself."""

import torch

from data.campaign import Labelers, load_campaign
from models.base import Base, trainable_copy
from models.ensemble import Ensemble
from models.evaluation import behaviour, pairs
from models.reward import new_reward_model
from tasks.evaluation import judge

RULES = load_campaign("sentiment").text
QUERIES = [[5, 9, 300, 7], [8] * 40, [1, 2], [90, 91, 92]] * 5
JUDGES = Labelers(prefers="positive", count=5, noise=0.0, slot_bias=0.0, error_rate=0.0, seed=9)


def test_the_base_does_not_diverge_from_itself_and_another_model_does(tiny: Base) -> None:
    itself = behaviour(tiny.model, tiny, QUERIES, RULES, seed=0)
    assert abs(itself.kl) < 1e-3 and 0 < itself.valid < 1
    other = trainable_copy(tiny.model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    moved = behaviour(other, tiny, QUERIES, RULES, seed=0)
    assert moved.kl > 4 * moved.kl_standard_error > 0


def test_both_systems_answer_with_valid_truncated_responses(tiny: Base) -> None:
    stop = tiny.tokenizer.convert_tokens_to_ids(".")
    score = Ensemble([new_reward_model(tiny.model, 0)])
    found = pairs(tiny.model, tiny, score, QUERIES, RULES, seed=0)
    assert len(found) == len(QUERIES)
    for pair in found:
        assert [tokens[-1] for tokens in pair.responses] == [stop, stop]


def test_the_best_of_n_is_the_bases_and_scores_at_least_as_high(tiny: Base) -> None:
    score = Ensemble([new_reward_model(tiny.model, 0)])
    found = pairs(tiny.model, tiny, score, QUERIES, RULES, seed=0, best_of=4)
    zero_shot, _, best = score.scores(found).mean(0).unbind(-1)
    assert (best >= zero_shot - 1e-6).all() and float((best - zero_shot).mean()) > 0.1


def test_a_judge_is_blind_to_who_wrote_what() -> None:
    good, bad = ["She was delighted and happy."] * 300, ["He was miserable and cruel."] * 300
    assert all(judge(JUDGES, zero_shot=bad, policy=good))
    assert not any(judge(JUDGES, zero_shot=good, policy=bad))
    equal = judge(JUDGES, good, good)
    assert 110 < sum(equal) < 190, "equal responses win half of the time"


def test_fondness_of_a_position_cancels_out() -> None:
    fond = JUDGES.model_copy(update={"slot_bias": 50.0, "count": 1})
    texts = ["The table stood in the room."] * 400
    assert 160 < sum(judge(fond, texts, texts)) < 240
