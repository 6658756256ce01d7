"""The page of a base check: whether labels may be bought, every comparison, samples to read, time and memory."""

from data.base_check.facts import MEANINGS, BaseCheck, Comparison, described, findings, is_finding
from data.base_check.registry import CheckInputs
from data.campaign import Campaign
from data.render.page import PAGES


def base_check_report(campaign: Campaign, inputs: CheckInputs, facts: BaseCheck) -> str:
    """Render a base check."""
    return PAGES.get_template("base_check.html").render(
        campaign=campaign,
        inputs=inputs,
        facts=facts,
        findings=[(described(each), MEANINGS[each["code"]].causes) for each in findings(facts["comparisons"])],
        table=[_row(each) for each in facts["comparisons"]],
        stages=[
            stage | {"duration": duration(stage["seconds"]), "peak": gib(stage["peak_bytes"])}
            for stage in facts["stages"]
        ],
        export=None if facts["export_seconds"] is None else duration(facts["export_seconds"]),
        memory=None if facts["policy_bytes"] is None else gib(facts["policy_bytes"]),
        free=gib(facts["free_bytes"]),
        training=None if facts["policy_seconds"] is None else duration(facts["policy_seconds"]),
    )


def _row(comparison: Comparison) -> dict[str, str]:
    """Return a comparison as the cells of a table."""
    meaning, error = MEANINGS[comparison["code"]], comparison["error"]
    return {
        "": "WRONG" if is_finding(comparison) else "ok",
        "compared": meaning.name,
        "error": comparison["detail"] or "not a finite number" if error is None else f"{error:.2g} {meaning.unit}",
        "allowed": f"{comparison['bound']:g}",
    }


def base_check_lines(facts: BaseCheck, report: str) -> list[str]:
    """Describe a base check in the lines of a terminal."""
    rows = [_row(each) for each in facts["comparisons"]]
    width = max(len(row["compared"]) for row in rows)
    lines = [f"{row['']:<6} {row['compared']:<{width}}  {row['error']}" for row in rows]
    lines += [f"       usual cause: {MEANINGS[each['code']].causes}" for each in findings(facts["comparisons"])[:1]]
    if facts["sampled"]:
        lines.append(f"valid  {facts['valid']} of {facts['sampled']} responses")
    if facts["export_seconds"] is not None:
        lines.append(f"time   about {duration(facts['export_seconds'])} to sample a batch on this machine")
    if facts["policy_seconds"] is not None:
        lines.append(f"       about {duration(facts['policy_seconds'])} to train a policy")
    if facts["policy_bytes"] is not None:
        lines.append(
            f"memory about {gib(facts['policy_bytes'])} to train a policy, {gib(facts['free_bytes'])} are free"
        )
    verdict = "passed" if facts["passed"] else "failed"
    return [*lines, f"{verdict} {facts['base']}: {facts['architecture']}, {facts['parameters']:,} parameters", report]


def duration(seconds: float) -> str:
    """Show a duration with a unit of its size."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def gib(size: int) -> str:
    """Show a number of bytes in GiB."""
    return f"{size / 2**30:.2f} GiB"
