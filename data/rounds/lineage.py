"""Lineage: the graph of what was made from what, read from manifests and logs."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from data.batches.index import Batch, batches
from data.errors import Refused
from data.evaluation.deciding import facts_by_decision
from data.labels import decisions
from data.labels.label_sets import label_set_documents
from data.labels.table import committed_table, deliveries
from data.paths import CAMPAIGNS, comparisons_of
from data.runs.champion import champion
from data.runs.registry import runs
from data.store import Store, folders


class Node(NamedTuple):
    """One thing of a campaign, a text about it for people, and the ids of what it was made from."""

    id: str
    kind: str  # base, batch, file, label set, run, champion, label
    text: str
    made_from: tuple[str, ...] = ()


Graph = Mapping[str, Node]


def campaigns(store: Store) -> list[str]:
    """Return the names of all campaigns in a store."""
    return list(folders(store, CAMPAIGNS))


def lineage(store: Store, campaign: str) -> Graph:
    """Return everything that a campaign's manifests and logs name, by id."""
    return {node.id: node for node in _nodes(store, campaign)}


def _nodes(store: Store, campaign: str) -> Iterator[Node]:
    decided = decisions.batch_statuses(store, campaign)
    for batch in batches(store, campaign):
        yield from _batch_nodes(batch)
    for entry in deliveries(store, campaign):
        counts = f"{entry['accepted']:,} accepted, {entry['quarantined']:,} quarantined of {entry['rows']:,} rows"
        status = decided.get(entry["batch"])
        decision = f"; its batch: {status.decision}" + (f" ({status.why})" if status.why else "") if status else ""
        text = f"{entry.get('file_name', 'a file')}, ingested {entry['at'][:16]}: {counts}{decision}"
        yield Node(entry["file_sha256"], "file", text, (entry["batch"],))
    delivered = {entry["accepted_key"]: entry["file_sha256"] for entry in deliveries(store, campaign)}
    for label_set in label_set_documents(store, campaign):
        text = f"{label_set['labels']:,} labels of {label_set['labelers']} labelers"
        files = tuple(delivered[key] for key, _ in label_set["files"] if key in delivered)
        yield Node(label_set["label_set"], "label set", text, files)
    yield from map(_human_evaluation_node, batches(store, comparisons_of(campaign)))
    leader = champion(store, campaign)
    for run in runs(store, campaign):
        facts = facts_by_decision(store, campaign, run)
        rate = facts["win_rate"]
        won = f"win rate {rate['value']:.3f} [{rate['low']:.3f}, {rate['high']:.3f}]" if rate else "not judged"
        text = f"round {facts['round']}, seed {facts['seed']}, {won}, KL {facts['kl_nats_per_seq']:.1f} nats a sequence"
        yield Node(facts["run"], "run", text, (facts["label_set"], facts["base"]))
        yield Node(facts["base"], "base", "the checkpoint that every retrain starts from")
        if facts["run"] == leader:
            yield Node("champion", "champion", "the policy that the next round samples from", (facts["run"],))


def _human_evaluation_node(batch: Batch) -> Node:
    left, right = batch["systems"]
    runs = tuple(re.findall(r"run-\w+", f"{left} {right}"))
    return Node(batch["batch"], "comparison", f"{left} compared with {right}, {batch['questions']:,} questions", runs)


def _batch_nodes(batch: Batch) -> Iterator[Node]:
    name = batch["batch"]
    writers = " and ".join(batch.manifest["inputs"].get("policies", {})) or "elsewhere"
    text = f"round {batch['round']}, {batch['questions']:,} questions, sampled from {writers}"
    base = batch["campaign"]["base"] if "campaign" in batch.facts else "base"
    made_from = [base, batch.manifest["inputs"].get("champion")]
    yield Node(name, "batch", text, tuple(source for source in made_from if source))
    yield Node(base, "base", "the checkpoint that every retrain starts from")


def find(store: Store, wanted: str) -> tuple[str, Graph, Node]:
    """Return the campaign, its graph and the node that `wanted`, an id or its first letters, names.

    `champion` is an id too, and labels have ids of at least eight letters here. Raises Refused unless exactly one node
    matches.
    """
    matches: list[tuple[str, Graph, Node]] = []
    for campaign in campaigns(store):
        graph = lineage(store, campaign)
        nodes = [graph[wanted]] if wanted in graph else [n for n in graph.values() if n.id.startswith(wanted)]
        matches += [(campaign, graph, node) for node in nodes]
        if not nodes and len(wanted) >= 8 and (label := _label(store, campaign, wanted)):
            matches.append((campaign, {**graph, label.id: label}, label))
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise Refused(f"{store.uri} has nothing called {wanted}. andon status lists what it has.")
    offered = ", ".join(f"{node.id} ({campaign})" for campaign, _, node in matches[:5])
    raise Refused(f"{wanted} matches {len(matches)} ids: {offered}. Give more letters of the id.")


def _label(store: Store, campaign: str, wanted: str) -> Node | None:
    """Return the node of a label by the first letters of its id; None if there is no such label."""
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
    """Return a node and everything it was made from, the node first."""
    seen: dict[str, Node] = {}

    def visit(current: Node) -> None:
        if current.id not in seen:
            seen[current.id] = current
            for parent in current.made_from:
                if parent in graph:
                    visit(graph[parent])

    visit(node)
    return list(seen.values())


def descendants(graph: Graph, node: Node) -> list[Node]:
    """Return everything that was made from a node, nearest first."""
    seen: dict[str, Node] = {}
    waiting = [node.id]
    while waiting:
        current = waiting.pop(0)
        for child in graph.values():
            if current in child.made_from and child.id not in seen:
                seen[child.id] = child
                waiting.append(child.id)
    return list(seen.values())


def tree(graph: Graph, node: Node) -> list[str]:
    """Draw a node and what it was made from as lines of text; a node that occurs again is only named."""
    lines: list[str] = []
    drawn: set[str] = set()

    def draw(current: Node, before: str, below: str) -> None:
        again = current.id in drawn
        shown = current.id if len(current.id) <= 40 else current.id[:16]
        lines.append(f"{before}{current.kind} {shown}" + ("  (see above)" if again else f"  {current.text}"))
        if again:
            return
        drawn.add(current.id)
        parents = [graph[parent] for parent in current.made_from if parent in graph]
        for number, parent in enumerate(parents, 1):
            last = number == len(parents)
            draw(parent, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  "))

    draw(node, "", "")
    return lines
