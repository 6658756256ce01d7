"""An evaluation as people read it: a table of systems, who is preferred to whom, where texts come from, samples."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from data.campaign import Campaign
from data.evaluation.facts import EvaluationFacts
from data.evaluation.judgements import PairResult, result_for
from data.measures.calibration import best_of_kl
from data.measures.copying import copied_bigrams
from data.measures.text_metrics import ROUGE
from data.measures.words import ngrams, words
from data.render import charts
from data.render.highlight import marked
from data.render.page import PAGES

Rows = Sequence[Mapping[str, Any]]
SAMPLES_SHOWN, SOURCES_SHOWN = 16, 24
PASSING = ("champion", "rl", "supervised", "supervised-rl")
NUMBERS = {
    "words": ("words", "{:.1f}"),
    "sentence_novelty": ("new sentences", "{:.3f}"),
    "bigram_novelty": ("new bigrams", "{:.3f}"),
    "copied_share": ("copied", "{:.3f}"),
    "copied_start": ("copied start", "{:.3f}"),
    "copied_start_after_a_preamble": ("after a preamble", "{:.3f}"),
    "copied_start_without": ("without one", "{:.3f}"),
    "distinct_2": ("distinct-2", "{:.3f}"),
    "repetition": ("repetition", "{:.4f}"),
}


def evaluation_report(campaign: Campaign, facts: EvaluationFacts, responses: Rows) -> str:
    """Render an evaluation; `responses` are the rows of its responses.parquet."""
    return PAGES.get_template("evaluation.html").render(
        campaign=campaign,
        facts=facts,
        table=table(facts),
        matrix=matrix(facts),
        apart=told_apart(facts.get("other_rules", {})),
        plots=[Markup(plot) for plot in plots(campaign, facts, responses)],
        samples=samples(responses, facts["anchor"], campaign.text.summarizes, SAMPLES_SHOWN),
    )


def table(facts: EvaluationFacts) -> list[dict[str, str]]:
    """Return a row of words and numbers for every system; columns that nothing was measured for are left out."""
    found = [PairResult.of(each) for each in facts["contests"]]
    rows = []
    for name in facts["systems"]:
        contest = result_for(found, name, facts["anchor"])
        row = {"system": shown(facts, name), f"over {facts['anchor']}": str(contest.win_rate) if contest else ""}
        row["at equal length"] = str(contest.equal_length) if contest else ""
        if rating := facts["elo"].get(name):
            row["Elo"] = f"{rating['elo']:+.0f} [{rating['low']:+.0f}, {rating['high']:+.0f}]"
        if name in facts["scores"]:
            row["score"] = f"{facts['scores'][name][0]:+.2f}"
        row["KL"] = f"{kl:.1f}" if (kl := divergence(facts, name)) is not None else ""
        texts = facts["texts"][name]
        rouge = [value for name in ROUGE if (value := texts[name]) is not None]
        if len(rouge) == len(ROUGE):
            row["ROUGE-1/2/L"] = " / ".join(f"{100 * value:.1f}" for value in rouge)
        row |= {title: form.format(texts[key]) for key, (title, form) in NUMBERS.items() if texts.get(key) is not None}
        rows.append(row)
    titles = [title for title in dict.fromkeys(t for row in rows for t in row) if any(row.get(title) for row in rows)]
    return [{title: row.get(title, "") for title in titles} for row in rows]


def shown(facts: EvaluationFacts, system: str) -> str:
    """Name a system for readers: with the run of that day, where the same name means another one later."""
    run = facts.get("runs", {}).get(system)
    return f"{system} {run[:12]}" if run and system in PASSING else system


def told_apart(other_rules: Mapping[str, Sequence[str]]) -> list[str]:
    """Say of each system that was trained with other text rules than it answers by here, which they are."""
    return [
        f"{name} was trained with another {' and '.join(rules)} than it answers by here: is a preset missing?"
        for name, rules in other_rules.items()
    ]


def divergence(facts: EvaluationFacts, system: str) -> float | None:
    """Return how far a system went from the base, nats a sequence: measured, or the bound of a best of n."""
    if system.startswith("best-of-"):
        return best_of_kl(int(system.rsplit("-", 1)[1]))
    if system == "zero-shot":
        return 0.0
    measured = facts["behaviours"].get(system)
    return measured["kl"] if measured else None


def matrix(facts: EvaluationFacts) -> list[tuple[str, list[PairResult | None]]]:
    """Return for every system its contests with all others, in the order of the systems; empty without judges."""
    found = [PairResult.of(each) for each in facts["contests"]]
    return (
        [
            (shown(facts, name), [result_for(found, name, other) for other in facts["systems"]])
            for name in facts["systems"]
        ]
        if found
        else []
    )


def plots(campaign: Campaign, facts: EvaluationFacts, responses: Rows) -> list[str]:
    drawn = []
    if elo := facts["elo"]:
        bars = [(name, each["elo"], each["low"], each["high"]) for name, each in elo.items()]
        drawn.append(charts.ratings(bars, title=f"Elo, {facts['anchor']} = 0"))
    if points := frontier(facts):
        drawn.append(charts.frontier(points, title="Score against KL from the base"))
    if campaign.text.summarizes:
        drawn += copy_figures(responses, facts["systems"])
    return drawn


def frontier(facts: EvaluationFacts) -> list[tuple[str, float, float]]:
    """Return (system, KL, mean score) of the systems that have both."""
    known = [(name, divergence(facts, name), facts["scores"].get(name)) for name in facts["systems"]]
    return [(name, kl, score[0]) for name, kl, score in known if kl is not None and score]


def copy_figures(responses: Rows, systems: Sequence[str]) -> list[str]:
    """Draw for every system where in some sources its responses copy from (Ziegler et al., 2019)."""
    drawn = []
    for name in systems:
        mine = [row for row in responses if row["system"] == name][:SOURCES_SHOWN]
        places = [(len(ngrams(words(r["query"]), 2)), copied_bigrams(r["query"], r["response"])) for r in mine]
        drawn.append(charts.copies(places, title=f"Where {name} copies from"))
    return drawn


def samples(responses: Rows, anchor: str, mark_copies: bool, most: int) -> list[dict[str, Any]]:
    """Return queries with what every system answered, marked where it differs from the anchor's answer."""
    by_query: dict[str, list[Mapping[str, Any]]] = {}
    for row in responses:
        if len(by_query) < most or row["query_id"] in by_query:
            by_query.setdefault(row["query_id"], []).append(row)
    shown = []
    for mine in by_query.values():
        first = next((row["response"] for row in mine if row["system"] == anchor), mine[0]["response"])
        source = mine[0]["query"] if mark_copies else None
        answers = [(r["system"], marked(r["response"], None if r["system"] == anchor else first, source)) for r in mine]
        shown.append({"query": mine[0]["query"], "answers": answers})
    return shown
