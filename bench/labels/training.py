"""What to train on when labels are noisy, single weighted labels, majority votes or pairs: `make bench-labels`.

The embedded base answers 1,200 queries four times. Twenty simulated labelers, of whom a quarter guess, give three
labels to each of 800 questions: the same 2,400 labels for every way. Measured on 2,000 other questions: how often the
reward model likes best what the labelers' opinion without any noise likes best, the mean of reward models of two seeds,
which differ among each other by as much as the ways do. About 25 minutes on two cores.
"""

import random
from collections import Counter
from statistics import fmean

import numpy as np

from bench.arguments import parser
from data.batches.key import UNKNOWN
from data.batches.schema import Question
from data.campaign import load_campaign
from data.campaign.queries import load_queries
from data.quality.arrays import Answers
from data.quality.assessment import LEAST_WEIGHT, skill_weights
from data.simulation.scorers import scorer
from models.lm.base import open_base
from models.lm.query_list import query_tokens
from models.questions.draw import BASE, draw_questions
from models.reward.dataset import base_responses
from models.reward.model import new_reward_model, score_all, train_reward_model
from models.reward.preferences import Comparison, best_of

ASKED, TESTED, LABELS, PEOPLE, GUESSERS = 800, 2_000, 3, 20, 5
SEEDS, MODELS = (1, 2, 3), (0, 10)  # of the labels; of the reward models, added to those
NOISE = 0.1  # the shipped labelers' 0.25 on the opinion's spread of 0.4


def label(questions: list[Question], seed: int) -> Answers:
    """Let three different people label every question."""
    draw, score = np.random.default_rng(seed), scorer("positive")
    rows = []
    for item, question in enumerate(questions):
        liked = np.array([score(question.query, sample.text) for sample in question.samples])
        for who in draw.choice(PEOPLE, LABELS, replace=False):
            chosen = draw.integers(4) if who < GUESSERS else (liked + draw.normal(0, NOISE, 4)).argmax()
            rows.append((item, int(who), int(chosen)))
    items, people, chosen_samples = np.array(rows).T
    unknown, times = np.full(len(rows), UNKNOWN), np.full(len(rows), np.nan)
    fixed = (unknown, unknown, unknown, unknown, times, unknown)
    return Answers(4, items, people, chosen_samples, chosen_samples, *fixed, [str(n) for n in range(PEOPLE)])


def ways(questions: list[Question], answers: Answers, seed: int) -> dict[str, list[Comparison]]:
    """Return what each way trains on."""
    draw = random.Random(seed)
    tokens: list[tuple[list[int], list[list[int]]]] = [
        (q.query_tokens, [s.tokens for s in q.samples]) for q in questions
    ]
    weights = skill_weights(answers)
    given: list[tuple[int, int, int]] = list(
        zip(answers.items.tolist(), answers.labelers.tolist(), answers.samples.tolist(), strict=True)
    )
    votes = [Counter(sample for item, _, sample in given if item == n) for n in range(len(questions))]
    winners = [draw.choice([s for s, n in vote.items() if n == max(vote.values())]) for vote in votes]
    pairs = []
    for item, _, sample in given:
        query, responses = tokens[item]
        other = draw.choice([n for n in range(4) if n != sample])
        pairs.append(best_of(query, [responses[sample], responses[other]], 0))
    return {
        "single labels, weighted by skill": [best_of(*tokens[i], s, float(weights[w])) for i, w, s in given],
        "single labels": [best_of(*tokens[i], s) for i, _, s in given],
        "weighted, those of the least weight left out": [
            best_of(*tokens[i], s, float(weights[w])) for i, w, s in given if weights[w] > LEAST_WEIGHT
        ],
        "majority votes": [best_of(*tokens[item], winner) for item, winner in enumerate(winners)],
        "one pair a label": pairs,
    }


def main() -> None:
    campaign, base = load_campaign("sentiment"), open_base("embedded")
    prompts = base.prompts(campaign.text)
    queries = load_queries(campaign.text, "train")
    questions = list(draw_questions({BASE: base}, queries, campaign, ASKED + TESTED, 1, set()))
    score = scorer("positive")
    test = [Comparison(q.query_tokens, [s.tokens for s in q.samples]) for q in questions[ASKED:]]
    right = [max(range(4), key=lambda n: score(q.query, q.samples[n].text)) for q in questions[ASKED:]]
    normal = base_responses(base, query_tokens(prompts, "train"), prompts, 256, 1)
    by_way: dict[str, list[list[float]]] = {}
    for seed in SEEDS:
        answers = label(questions[:ASKED], seed)
        for way, rows in ways(questions[:ASKED], answers, seed).items():
            rates = []
            for model_seed in (seed + other for other in MODELS):
                model = new_reward_model(base.model, model_seed)
                model.normalise(normal)
                train_reward_model(model, rows, campaign.reward, model_seed)
                chosen = score_all(model, test).argmax(-1).tolist()
                rates.append(sum(a == b for a, b in zip(chosen, right, strict=True)) / len(right))
            by_way.setdefault(way, []).append(rates)
            print(f"seed {seed}, {way}, {len(rows):,} labels: {', '.join(f'{rate:.4f}' for rate in rates)}", flush=True)
    print("| way |" + "".join(f" seed {seed} |" for seed in SEEDS) + " mean |\n" + "|---" * (len(SEEDS) + 2) + "|")
    for way, of_seeds in by_way.items():
        means = [fmean(rates) for rates in of_seeds]
        print(f"| {way} |" + "".join(f" {mean:.3f} |" for mean in [*means, fmean(means)]))


if __name__ == "__main__":
    arguments = parser("bench.labels.training", __doc__)
    arguments.parse_args()
    main()
