"""The report of an evaluation: a table of systems, win rates by pair, copied places, samples."""

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
from data.render.highlight import Sample, marked
from data.render.page import PAGES

Rows = Sequence[Mapping[str, Any]]
SAMPLES_SHOWN, SOURCES_SHOWN = 16, 24
CHANGING = ("champion", "rl", "supervised", "supervised-rl")  # names that mean another run later
TEXT_COLUMNS = {
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
        warnings=rule_warnings(facts.get("other_rules", {})),
        plots=[Markup(plot) for plot in plots(campaign, facts, responses)],
        samples=samples(responses, facts["anchor"], campaign.text.summarizes, SAMPLES_SHOWN),
    )


def table(facts: EvaluationFacts) -> list[dict[str, str]]:
    """Return a row of texts for every system; columns without any measurement are left out."""
    results = [PairResult.of(stored) for stored in facts["contests"]]
    rows = []
    for name in facts["systems"]:
        result = result_for(results, name, facts["anchor"])
        row = {"system": shown(facts, name), f"over {facts['anchor']}": str(result.win_rate) if result else ""}
        row["at equal length"] = str(result.equal_length) if result else ""
        if rating := facts["elo"].get(name):
            row["Elo"] = f"{rating['elo']:+.0f} [{rating['low']:+.0f}, {rating['high']:+.0f}]"
        if name in facts["scores"]:
            row["score"] = f"{facts['scores'][name][0]:+.2f}"
        row["KL"] = f"{kl:.1f}" if (kl := divergence(facts, name)) is not None else ""
        texts = facts["texts"][name]
        rouge = [value for name in ROUGE if (value := texts[name]) is not None]
        if len(rouge) == len(ROUGE):
            row["ROUGE-1/2/L"] = " / ".join(f"{100 * value:.1f}" for value in rouge)
        columns = TEXT_COLUMNS.items()
        row |= {title: form.format(texts[key]) for key, (title, form) in columns if texts.get(key) is not None}
        rows.append(row)
    titles = [title for title in dict.fromkeys(t for row in rows for t in row) if any(row.get(title) for row in rows)]
    return [{title: row.get(title, "") for title in titles} for row in rows]


def shown(facts: EvaluationFacts, system: str) -> str:
    """Return the name of a system for readers, with its run if the name means another run later."""
    run = facts.get("runs", {}).get(system)
    return f"{system} {run[:12]}" if run and system in CHANGING else system


def rule_warnings(other_rules: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a warning for each system that was trained with other text settings than in this evaluation."""
    return [
        f"{name} was trained with other text settings than in this evaluation: {', '.join(rules)}. If a preset is "
        "missing, evaluate again with --preset."
        for name, rules in other_rules.items()
    ]


def divergence(facts: EvaluationFacts, system: str) -> float | None:
    """Return the KL divergence of a system from the base in nats a sequence: measured, or the bound for best of n.

    None if it was not measured.
    """
    if system.startswith("best-of-"):
        return best_of_kl(int(system.rsplit("-", 1)[1]))
    if system == "zero-shot":
        return 0.0
    measured = facts["behaviours"].get(system)
    return measured["kl"] if measured else None


def matrix(facts: EvaluationFacts) -> list[tuple[str, list[PairResult | None]]]:
    """Return for every system its results against all systems, in their order; empty without judgements."""
    results = [PairResult.of(stored) for stored in facts["contests"]]
    if not results:
        return []
    names = facts["systems"]
    return [(shown(facts, name), [result_for(results, name, other) for other in names]) for name in names]


def plots(campaign: Campaign, facts: EvaluationFacts, responses: Rows) -> list[str]:
    drawn = []
    if elo := facts["elo"]:
        points_of_elo = [(name, rating["elo"], rating["low"], rating["high"]) for name, rating in elo.items()]
        drawn.append(charts.ratings(points_of_elo, title=f"Elo, {facts['anchor']} = 0"))
    if points := frontier(facts):
        drawn.append(charts.frontier(points, title="Score against KL from the base"))
    if campaign.text.summarizes:
        drawn += copy_figures(responses, facts["systems"])
    return drawn


def frontier(facts: EvaluationFacts) -> list[tuple[str, float, float]]:
    """Return (system, KL, mean score) of the systems that have both."""
    rows = [(name, divergence(facts, name), facts["scores"].get(name)) for name in facts["systems"]]
    return [(name, kl, score[0]) for name, kl, score in rows if kl is not None and score]


def copy_figures(responses: Rows, systems: Sequence[str]) -> list[str]:
    """Draw for every system the places in some sources that its responses copy (Ziegler et al., 2019)."""
    drawn = []
    for name in systems:
        mine = [row for row in responses if row["system"] == name][:SOURCES_SHOWN]
        places = [(len(ngrams(words(r["query"]), 2)), copied_bigrams(r["query"], r["response"])) for r in mine]
        drawn.append(charts.copies(places, title=f"Where {name} copies from"))
    return drawn


def samples(responses: Rows, anchor: str, mark_copies: bool, most: int) -> list[Sample]:
    """Return at most `most` queries with the responses of all systems, marked against the anchor's response."""
    by_query: dict[str, list[Mapping[str, Any]]] = {}
    for row in responses:
        if len(by_query) < most or row["query_id"] in by_query:
            by_query.setdefault(row["query_id"], []).append(row)
    shown = []
    for mine in by_query.values():
        first = next((row["response"] for row in mine if row["system"] == anchor), mine[0]["response"])
        source = mine[0]["query"] if mark_copies else None
        answers = [(r["system"], marked(r["response"], None if r["system"] == anchor else first, source)) for r in mine]
        shown.append(Sample(mine[0]["query"], answers))
    return shown
