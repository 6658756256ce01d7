"""Where everything comes from and what became of it: the graph of inputs that manifests and logs already hold."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from data.batches.index import Batch, batches
from data.canonical import unseal
from data.errors import Refused
from data.labels import decisions
from data.labels.table import committed_table, deliveries
from data.paths import CAMPAIGNS, LABEL_SET_FILE, comparisons_of, label_sets_prefix
from data.runs.champion import champion
from data.runs.registry import runs
from data.store import Store, folders
from data.store.base import named


class Node(NamedTuple):
    """One thing of a campaign: what it is, what is to be said of it, and what it was made from."""

    id: str
    kind: str  # base, batch, file, label set, run, champion, label
    text: str
    made_from: tuple[str, ...] = ()


Graph = Mapping[str, Node]


def campaigns(store: Store) -> list[str]:
    return list(folders(store, CAMPAIGNS))


def lineage(store: Store, campaign: str) -> Graph:
    """Return everything that a campaign's manifests and logs name, by id."""
    return {node.id: node for node in _nodes(store, campaign)}


def _nodes(store: Store, campaign: str) -> Iterator[Node]:
    decided = decisions.batch_statuses(store, campaign)
    for batch in batches(store, campaign):
        yield from _of_batch(batch)
    for entry in deliveries(store, campaign):
        counts = f"{entry['accepted']:,} accepted, {entry['quarantined']:,} quarantined of {entry['rows']:,} rows"
        status = decided.get(entry["batch"])
        stands = f"; its batch: {status.decision}" + (f" ({status.why})" if status.why else "") if status else ""
        text = f"{entry['file_name']}, ingested {entry['at'][:16]}: {counts}{stands}"
        yield Node(entry["file_sha256"], "file", text, (entry["batch"],))
    delivered = {entry["accepted_key"]: entry["file_sha256"] for entry in deliveries(store, campaign)}
    for key in named(store, label_sets_prefix(campaign), LABEL_SET_FILE):
        label_set = unseal(store.read(key), f"{key} in {store.uri}")
        text = f"{label_set['labels']:,} labels of {label_set['labelers']} labelers"
        files = tuple(delivered[key] for key, _ in label_set["files"] if key in delivered)
        yield Node(label_set["label_set"], "label set", text, files)
    yield from map(_of_comparison, batches(store, comparisons_of(campaign)))
    leader = champion(store, campaign)
    for run in runs(store, campaign):
        facts = run.facts
        rate = facts["win_rate"]
        won = f"win rate {rate['value']:.3f} [{rate['low']:.3f}, {rate['high']:.3f}]" if rate else "not judged"
        text = f"round {facts['round']}, seed {facts['seed']}, {won}, KL {facts['kl_nats_per_seq']:.1f} nats a sequence"
        yield Node(facts["run"], "run", text, (facts["label_set"], facts["base"]))
        yield Node(facts["base"], "base", "the checkpoint that every retrain starts from")
        if facts["run"] == leader:
            yield Node("champion", "champion", "the policy that the next round samples from", (facts["run"],))


def _of_comparison(batch: Batch) -> Node:
    left, right = batch["systems"]
    runs = tuple(re.findall(r"run-\w+", f"{left} {right}"))
    return Node(batch["batch"], "comparison", f"{left} beside {right}, {batch['questions']:,} questions", runs)


def _of_batch(batch: Batch) -> Iterator[Node]:
    name = batch["batch"]
    writers = batch.manifest["inputs"].get("policies", {})
    text = (
        f"round {batch['round']}, {batch['questions']:,} questions, sampled from {' and '.join(writers) or 'elsewhere'}"
    )
    base = batch["campaign"]["base"] if "campaign" in batch.facts else "base"
    made_from = [base, batch.manifest["inputs"].get("champion")]
    yield Node(name, "batch", text, tuple(each for each in made_from if each))
    yield Node(base, "base", "the checkpoint that every retrain starts from")


def find(store: Store, wanted: str) -> tuple[str, Graph, Node]:
    """Return the campaign, its graph and the node that an id or the beginning of one names; raise Refused without one.

    `champion` names that of the only campaign; a label is known by its id too.
    """
    found: list[tuple[str, Graph, Node]] = []
    for campaign in campaigns(store):
        graph = lineage(store, campaign)
        nodes = [graph[wanted]] if wanted in graph else [n for n in graph.values() if n.id.startswith(wanted)]
        found += [(campaign, graph, node) for node in nodes]
        if not nodes and len(wanted) >= 8 and (label := _label(store, campaign, wanted)):
            found.append((campaign, {**graph, label.id: label}, label))
    if len(found) == 1:
        return found[0]
    if not found:
        raise Refused(f"Nothing in {store.uri} is called {wanted}; andon status names what there is.")
    offered = ", ".join(f"{node.id} ({campaign})" for campaign, _, node in found[:5])
    raise Refused(f"{wanted} may be any of {len(found)}: {offered}. Give more of it.")


def _label(store: Store, campaign: str, wanted: str) -> Node | None:
    """Find one label by the beginning of its id: who chose what, and in which row of which file."""
    for entry in deliveries(store, campaign):
        for row in committed_table(store, [entry]).to_pylist():
            if row["label_id"].startswith(wanted):
                text = (
                    f"{row['labeler_id']} chose sample {row['best_sample']}, shown at position {row['best_shown']}, "
                    f"of question {row['question_id']}; row {row['source_row']} of the file"
                )
                return Node(row["label_id"], "label", text, (entry["file_sha256"],))
    return None


def ancestors(graph: Graph, node: Node) -> list[Node]:
    """Return the node and all that it was made from, itself first."""
    seen: dict[str, Node] = {}

    def visit(each: Node) -> None:
        if each.id not in seen:
            seen[each.id] = each
            for parent in each.made_from:
                if parent in graph:
                    visit(graph[parent])

    visit(node)
    return list(seen.values())


def descendants(graph: Graph, node: Node) -> list[Node]:
    """Return all that was made from a node, nearest first."""
    found: dict[str, Node] = {}
    waiting = [node.id]
    while waiting:
        current = waiting.pop(0)
        for each in graph.values():
            if current in each.made_from and each.id not in found:
                found[each.id] = each
                waiting.append(each.id)
    return list(found.values())


def tree(graph: Graph, node: Node) -> list[str]:
    """Draw what a node was made from as lines of text; what was drawn before is only named again."""
    lines: list[str] = []
    drawn: set[str] = set()

    def draw(each: Node, before: str, below: str) -> None:
        again = each.id in drawn
        shown = each.id if len(each.id) <= 40 else each.id[:16]
        lines.append(f"{before}{each.kind} {shown}" + ("  (see above)" if again else f"  {each.text}"))
        if again:
            return
        drawn.add(each.id)
        parents = [graph[parent] for parent in each.made_from if parent in graph]
        for number, parent in enumerate(parents, 1):
            last = number == len(parents)
            draw(parent, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  "))

    draw(node, "", "")
    return lines
