"""The lineage of one thing as a chart."""

from collections.abc import Sequence

from data.render.charts import BLUE, GREY, INK, RED, _drawing, _svg
from data.rounds.lineage import Node

COLUMNS = ("base", "batch", "file", "label", "label set", "run", "comparison", "champion")


def lineage(nodes: Sequence[Node], focus: str) -> str:
    """Draw the nodes from left to right, with lines to what they were made from and the id `focus` in red."""
    columns = [kind for kind in COLUMNS if any(node.kind == kind for node in nodes)]
    places: dict[str, tuple[float, float]] = {}
    for column, kind in enumerate(columns):
        mine = [node.id for node in nodes if node.kind == kind]
        places |= {name: (float(column), (len(mine) - 1) / 2 - row) for row, name in enumerate(mine)}
    tallest = max(sum(node.kind == kind for node in nodes) for kind in columns)
    figure, axes = _drawing(2.3 * len(columns), 0.6 + 0.55 * tallest)
    for node in nodes:
        x, y = places[node.id]
        colour = RED if node.id == focus else BLUE
        name = node.id if len(node.id) <= 22 else node.id[:10] + "..." + node.id[-8:]
        box = {"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": colour}
        axes.text(x, y, f"{node.kind}\n{name}", ha="center", va="center", fontsize=7, color=INK, bbox=box, zorder=2)
        for parent in node.made_from:
            if parent in places:
                start = places[parent]
                axes.plot([start[0], x], [start[1], y], color=GREY, linewidth=0.8, zorder=1)
    axes.set_xlim(-0.6, len(columns) - 0.4)
    axes.set_ylim(-tallest / 2 - 0.2, tallest / 2 + 0.2)
    axes.axis("off")
    return _svg(figure)
