"""Measures on fixtures checked by hand, and intervals that hold what they promise."""

import math
import random

import numpy as np
import pytest

from bench.checks.coverage import SETTINGS, Ladder, Setting, covered, evaluations, ladder
from data.evaluation.judgements import Judgement, ratings
from data.measures.agreement import PairAgreement, noise_ceiling
from data.measures.calibration import best_of_kl, calibration
from data.measures.copying import (
    address_of,
    copied_bigrams,
    copied_share,
    has_preamble,
    ngram_novelty,
    sentence_novelty,
    starts_by_copying,
)
from data.measures.elo import elo_ratings
from data.measures.intervals import proportion
from data.measures.rouge import rouge
from data.measures.win_rate import cluster_variance, length_controlled, win_rate
from data.measures.words import distinct_n, lead, ngrams, repetition, sentences, words

SOURCE = "So my dog ate the cake. He was sorry. We bought a new cake on Monday."


def test_words_and_sentences_are_those_a_reader_counts() -> None:
    assert words("It's late -- he'd GONE.") == ["it's", "late", "he'd", "gone"]
    assert words("_He_ was *very* sorry __\nİstanbul, 7 a.m.") == [
        "he",
        "was",
        "very",
        "sorry",
        "istanbul",
        "7",
        "a",
        "m",
    ]
    assert lead("My dog ate.\n_____\nHe was sorry. He left. Gone.", 3).endswith("He left."), "a rule is no sentence"
    assert sentences('"Stop!" he said. Then\nnothing') == [["stop"], ["he", "said"], ["then"], ["nothing"]]


def test_abbreviations_initials_and_numbers_of_a_list_end_no_sentence() -> None:
    assert sentences("Mr. Smith met Dr. Jones. They ate.") == [["mr", "smith", "met", "dr", "jones"], ["they", "ate"]]
    assert len(sentences("J. K. Rowling left the U.S. Army, e.g. in 1990. It was I. 1. One. 2. Two.")) == 4
    assert lead("Sen. McCain met Gov. Brewer on Monday. He left.", 1) == "Sen. McCain met Gov. Brewer on Monday."
    assert lead('He said "Go." Then left.', 1) == 'He said "Go."'
    assert lead("One. ... Two. Three.", 2) == "One. ... Two.", "what has no word is no sentence"
    assert words("I can’t") == words("I can't") and words("re\u0301el") == ["r\u00e9el"]


def test_repetition_is_the_share_of_ngrams_seen_before() -> None:
    assert distinct_n([["a", "b"], ["a", "c"]], 1) == 3 / 4
    assert distinct_n([["a", "b"], ["a", "b"]], 2) == 1 / 2
    assert repetition(["a", "b", "c", "a", "b", "c"], 3) == 1 / 4
    assert repetition(["once"]) == 0.0


def test_a_copied_sentence_is_not_novel() -> None:
    assert sentence_novelty(SOURCE, "He was sorry. My cat slept.") == 1 / 2
    assert sentence_novelty(SOURCE, "We bought a new cake") == 0.0
    assert sentence_novelty("the other", "the.") == 0.0 and sentence_novelty("another", "other.") == 1.0
    assert sentence_novelty(SOURCE, "...") is None
    assert ngram_novelty(SOURCE, "the dog ate", 2) == 1 / 2


def test_a_copied_start_and_a_preamble_are_told() -> None:
    assert starts_by_copying(SOURCE, "so my dog, he slept.") and not starts_by_copying(SOURCE, "My dog ate the cake.")
    assert has_preamble(SOURCE, "tldr") and not has_preamble("Some cake", "tldr")
    addresses = ["Mr Speaker, Mr Vice President, Members of Congress: We", "To the Congress of the United States: We"]
    addresses += ["Thank you. Madam Speaker, my fellow Americans: We", "FELLOW-CITIZENS OF THE SENATE: We"]
    plain = ["We met Mr Speaker: he slept.", "The Congress rose. Nobody: not one.", "Members of Congress, we met.", ""]
    assert all(has_preamble(speech, "speeches") for speech in addresses)
    assert not any(has_preamble(speech, "speeches") for speech in plain)
    assert address_of(addresses[0]) == addresses[0][:-3]
    assert has_preamble("LONDON (CNN): a cake", "cnndm") and not has_preamble("A cake was eaten: by whom", "cnndm")


def test_the_places_of_a_copy_are_those_of_the_longest_common_subsequence_of_bigrams() -> None:
    # Bigrams of the response: my dog, dog ate, ate on, on monday. Three of them stand in the source, in this order.
    assert copied_bigrams(SOURCE, "My dog ate on Monday") == [1, 2, 14]
    assert copied_share(SOURCE, "My dog ate on Monday") == 3 / 4
    assert len(copied_bigrams("a b x c d", "c d a b")) == 1, "order counts: either copy, not both"


def test_copied_places_are_a_longest_common_subsequence_as_a_plain_table_finds_it() -> None:
    draw = random.Random(0)
    for _ in range(300):
        source, response = (" ".join(draw.choices("abcd", k=draw.randrange(most))) for most in (15, 10))
        theirs, own = ngrams(words(source), 2), ngrams(words(response), 2)
        places = copied_bigrams(source, response)
        left = iter(own)
        assert places == sorted(set(places)) and all(theirs[place] in left for place in places)
        assert len(places) == longest(theirs, own)
        assert places == min(subsequences(theirs, own), key=lambda found: (-len(found), found)), "the earliest"


def subsequences(left: list[tuple[str, ...]], right: list[tuple[str, ...]], at: int = 0) -> list[list[int]]:
    """Return the places in `left` of subsequences that both have, the longest of them among these."""
    found: list[list[int]] = [[]]
    for i in range(at, len(left)):
        if left[i] in right:
            found += [[i, *rest] for rest in subsequences(left, right[right.index(left[i]) + 1 :], i + 1)]
    return found


def longest(left: list[tuple[str, ...]], right: list[tuple[str, ...]]) -> int:
    if not left or not right:
        return 0
    table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, one in enumerate(left):
        for j, other in enumerate(right):
            table[i + 1][j + 1] = table[i][j] + 1 if one == other else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def test_rouge_is_what_its_package_says() -> None:
    from rouge_score.rouge_scorer import RougeScorer  # not while pytest collects: it keeps the stderr of that moment

    package = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    draw, vocabulary = random.Random(1), ["the", "dogs", "dog", "running", "runs", "cakes", "Monday,", "it's", "..."]
    for _ in range(100):
        one, other = (" ".join(draw.choices(vocabulary, k=draw.randrange(12))) for _ in range(2))
        expected = {name: score.fmeasure for name, score in package.score(one, other).items()}
        assert rouge(one, other) == pytest.approx(expected), (one, other)


def test_rouge_is_the_f_measure_of_shared_words() -> None:
    # Words 2 of 3 and 2 of 2: precision 1, recall 2/3. Bigrams: none of one against two.
    found = rouge("green cake tasted", "green tasted")
    assert found == pytest.approx({"rouge1": 0.8, "rouge2": 0.0, "rougeL": 0.8})


def test_rouge_reads_other_scripts_than_latin() -> None:
    assert rouge("Собака съела торт.", "Собака съела торт!") == {"rouge1": 1.0, "rouge2": 1.0, "rougeL": 1.0}
    assert rouge("Élève déçu", "leve du u")["rouge1"] == 0.0
    assert rouge("\u00e9l\u00e8ve", "e\u0301le\u0300ve")["rouge1"] == 1.0, "composed or not, it is one word"
    assert rouge("हिन्दी", "हानादा")["rouge1"] == 0.0, "vowels as marks belong to the word"


def test_clusters_widen_the_interval_and_equal_answers_are_not_certain() -> None:
    wins = [1, 1, 1, 1, 0, 0, 0, 0] * 10
    apart = win_rate(wins, range(80), range(80))
    together = win_rate(wins, [i // 4 for i in range(80)], [0] * 80)
    assert apart.value == together.value == 0.5
    assert together.high - together.low > 1.5 * (apart.high - apart.low)
    sure = win_rate([1] * 20, range(20), [i % 5 for i in range(20)])
    assert sure.value == 1 and 0.7 < sure.low < 0.9


def test_answers_that_balance_are_as_certain_in_any_order() -> None:
    answers = [(won, query, labeler) for query in "ab" for labeler in "xy" for won in (1, 1, 1, 0, 0, 0)]
    found = set()
    for seed in range(20):
        random.Random(seed).shuffle(answers)
        rate = win_rate(*zip(*answers, strict=True))
        found.add((round(rate.low, 9), round(rate.high, 9)))
    assert len(found) == 1


def test_the_variance_is_that_of_drawing_clusters_with_replacement() -> None:
    draw = np.random.default_rng(0)
    clusters = np.repeat(np.arange(60), draw.integers(1, 6, 60))
    won = (draw.random(len(clusters)) < draw.random(60)[clusters]).astype(float)
    means = []
    for _ in range(4000):
        chosen = np.concatenate([np.flatnonzero(clusters == c) for c in draw.integers(60, size=60)])
        means.append(won[chosen].mean())
    influence = (won - won.mean()) / len(won)
    assert cluster_variance(influence, clusters) == pytest.approx(float(np.var(means)), rel=0.12)


@pytest.mark.slow
@pytest.mark.parametrize("setting", (*SETTINGS[3:11:2], *SETTINGS[14:17:2]), ids=lambda setting: setting.name)
def test_95_percent_intervals_cover_a_known_truth_in_93_to_97_percent(setting: Setting) -> None:
    rates, lengths, truths = zip(*evaluations(setting, 600, seed=6), strict=True)
    assert 0.93 <= covered(rates, truths[0]).value <= 0.97
    assert 0.93 <= covered(lengths, truths[0]).value <= 0.98


def test_a_system_that_wins_by_length_alone_wins_half_at_equal_length() -> None:
    draw = np.random.default_rng(1)
    own, other = draw.integers(10, 40, 2000), draw.integers(5, 20, 2000)
    wins = draw.random(2000) < own**2 / (own**2 + other**2)
    assert wins.mean() > 0.75
    found = length_controlled(wins.tolist(), own.tolist(), other.tolist(), range(2000), range(2000))
    assert found.low < 0.5 < found.high and found.high - found.low < 0.15


def test_lengths_that_never_cross_say_nothing_of_equal_ones() -> None:
    wins, many = [1.0] * 80 + [0.0] * 20, range(100)
    always = length_controlled(wins, [40] * 100, [20] * 100, many, many)
    assert always.low < 0.2 and always.high > 0.8, "twice as long in every pair"
    sweep = length_controlled([1.0] * 20, [20] * 20, [20] * 20, range(20), range(20))
    assert 0.6 < sweep.low < 0.9 and sweep.value > 0.95, "twenty wins are not certainty"


def test_a_rating_of_wins_alone_is_not_certain() -> None:
    sweep = [Judgement(f"q{i}", "base", "policy", f"l{i % 5}", 0.0, 5, 5) for i in range(20)]
    rating = ratings(sweep, ["base", "policy"], "base")["policy"]
    assert 200 < rating.low < rating.elo < rating.high and rating.high - rating.low > 400, "Beta(20.5, 0.5)"
    split = [each._replace(won=float(each.labeler in ("l0", "l1"))) for each in sweep]  # people who never change sides
    by_query = [each._replace(labeler=each.query) for each in split]
    wide, narrow = (ratings(each, ["base", "policy"], "base")["policy"] for each in (split, by_query))
    assert wide.high - wide.low > 1.3 * (narrow.high - narrow.low)


@pytest.mark.slow
def test_intervals_of_elo_hold_where_labelers_differ() -> None:
    held = [
        rating.low <= truth <= rating.high
        for rated, truths in ladder(Ladder("", 80, 8, 0.4), 150, seed=1)
        for rating, truth in zip(rated, truths, strict=True)
    ]
    assert 0.91 < sum(held) / len(held) < 0.99, "of 300; 0.89 where the wider of queries and labelers is taken"


def test_of_one_or_two_queries_no_rating_is_known_and_none_is_endless() -> None:
    for queries in (1, 2):
        won = [Judgement(f"q{n}", "base", other, "l", 0.0, 5, 5) for n in range(queries) for other in ("one", "two")]
        with np.errstate(all="raise"):
            rated = ratings(won, ["base", "one", "two"], "base")
        assert all(-5000 < rated[name].low < 0 < rated[name].high < 5000 for name in ("one", "two"))
    alone = elo_ratings(["base", "one", "alone"], ["base"], ["one"], [1.0], ["q"], ["l"], "base")["alone"]
    assert alone.elo == 0 and alone.low == -alone.high < -3000, "nobody compared it"


def test_elo_of_a_pair_is_its_odds_and_a_third_system_is_placed_between() -> None:
    # 29 wins, 9 losses, a tie and half a win added each way: odds of 30 to 10, 400 log10(3) = 190.8.
    one, other = ["base"] * 39, ["policy"] * 39
    won = [1.0] * 9 + [0.5] + [0.0] * 29
    rated = elo_ratings(["base", "policy"], one, other, won, range(39), range(39), "base")
    assert rated["base"].elo == 0 and rated["policy"].elo == pytest.approx(400 * math.log10(3))
    one, other = ["low"] * 100 + ["low"] * 100 + ["middle"] * 100, ["middle"] * 100 + ["high"] * 200
    won = ([1.0] * 30 + [0.0] * 70) + ([1.0] * 10 + [0.0] * 90) + ([1.0] * 30 + [0.0] * 70)
    rated = elo_ratings(["low", "middle", "high"], one, other, won, range(300), range(300), "middle")
    low, high = rated["low"].elo, rated["high"].elo
    assert low == pytest.approx(-high, abs=15) and low < 0 < high


def test_no_model_agrees_more_often_than_labelers_allow() -> None:
    right = np.random.default_rng(0).random((100_000, 2)) < 0.8  # two labelers who are right in four of five questions
    agreement = (right[:, 0] == right[:, 1]).mean()  # of two options: also where both are wrong
    assert noise_ceiling(float(agreement), 2) == pytest.approx(0.8, abs=5e-3), "the model that knows what is right"
    assert noise_ceiling(0.2, 4) == 0.25, "who agrees less than by chance allows chance"
    measured = PairAgreement(proportion(44, 100), 4).ceiling
    assert measured.value == pytest.approx(0.6275, abs=1e-4) and measured.low < measured.value < measured.high


@pytest.mark.parametrize("k", [2, 3, 4, 8])
def test_the_ceiling_holds_for_questions_of_any_kind_and_is_reached_where_all_are_alike(k: int) -> None:
    draw = np.random.default_rng(k)
    for concentration in (0.1, 0.5, 2.0):
        answers = draw.dirichlet(np.full(k, concentration), 500)  # of labelers to each of 500 questions
        best, agreement = answers.max(1).mean(), float((answers**2).sum(1).mean())
        assert best <= noise_ceiling(agreement, k) <= math.sqrt(agreement)
    for skill in (1 / k, 0.55, 0.9, 1.0):
        agreement = skill**2 + (1 - skill) ** 2 / (k - 1)
        assert noise_ceiling(agreement, k) == pytest.approx(max(skill, 1 / k))


def test_a_calibrated_model_has_no_error_and_a_boaster_has() -> None:
    odds = math.log(0.75 / 0.25)
    assert calibration([0, 0, 0, 1], [[odds, 0]] * 4)[0] == pytest.approx(0.0)
    error, bins = calibration([0, 1], [[50.0, 0.0]] * 2)
    assert error == pytest.approx(0.5) and [each.n for each in bins] == [2, 2]


def test_best_of_n_costs_the_published_nats() -> None:
    # Stiennon et al. (2020): 1.2 nats for 8, 3.2 for 64, 3.9 for 128.
    assert [round(best_of_kl(n), 2) for n in (1, 8, 64, 128)] == [0.0, 1.2, 3.17, 3.86]
