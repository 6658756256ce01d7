"""Plots as inline SVG: they need no server, no script and no network, and they print."""

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, BLUE, RED, GREY = "#222222", "#1f5fa8", "#b3261e", "#9a9a9a"
DRAWN: dict[bytes, str] = {}  # by the data that they show
KEPT = 256  # of them at most, some twenty kilobytes each
LETTERS = 60  # of the labels below a plot, as far as they fit
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a dollar in somebody's name begins no formula
    "svg.hashsalt": "andon",  # equal data give equal bytes
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
}

Data = ParamSpec("Data")


def _kept(draw: Callable[Data, str]) -> Callable[Data, str]:
    """Draw the same data once: a report that is made anew for one new fact has mostly the charts of before."""

    @wraps(draw)
    def drawn(*data: Data.args, **more: Data.kwargs) -> str:
        key = sha256(repr((draw.__name__, _plain(data), _plain(more))).encode()).digest()
        if (svg := DRAWN.get(key)) is None:
            if len(DRAWN) >= KEPT:
                DRAWN.clear()
            svg = DRAWN[key] = draw(*data, **more)
        return svg

    return drawn


def _plain(data: Any) -> Any:
    """Return data as tuples of strings and numbers, so that it is written out in full."""
    if isinstance(data, Mapping):
        return tuple((name, _plain(value)) for name, value in data.items())
    if isinstance(data, str) or not hasattr(data, "__iter__"):
        return data
    return tuple(_plain(value) for value in data)


def _drawing(width: float, height: float) -> "tuple[Figure, Any]":
    """Return a figure of so many inches, and its axes; commands that draw nothing do not wait for the library."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    matplotlib.rcParams.update(STYLE)
    figure = Figure(figsize=(width, height))
    FigureCanvasSVG(figure)
    return figure, figure.subplots()


def _svg(figure: "Figure") -> str:
    text = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # from a font that only measures: the reader's draws it
        figure.tight_layout()
        figure.set_layout_engine(None)  # it is laid out, and savefig would draw it once more to lay it out again
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


@_kept
def line(
    x: Sequence[float],
    y: Sequence[float],
    *,
    title: str,
    x_label: str,
    level: float | None = None,
    level_label: str = "",
) -> str:
    """Draw one curve, with an optional level to compare it to; long, noisy curves get their running mean on top."""
    figure, axes = _drawing(4.2, 2.5)
    window = len(y) // 20
    axes.plot(x, y, color=BLUE, alpha=0.35 if window > 1 else 1.0, linewidth=1)
    if window > 1:
        means = [sum(y[max(0, i - window) : i + 1]) / (i + 1 - max(0, i - window)) for i in range(len(y))]
        axes.plot(x, means, color=BLUE, linewidth=1.6)
    if level is not None:
        axes.axhline(level, color=RED, linewidth=1, linestyle="--")
        axes.annotate(level_label, (x[-1], level), color=RED, ha="right", va="bottom", fontsize=8)
    axes.set_title(title, loc="left", color=INK, fontsize=10)
    axes.set_xlabel(x_label)
    return _svg(figure)


@_kept
def histogram(groups: Mapping[str, Sequence[float]], *, title: str, x_label: str) -> str:
    """Draw distributions over one another."""
    figure, axes = _drawing(4.2, 2.5)
    for (label, values), colour in zip(groups.items(), (GREY, BLUE, RED), strict=False):
        axes.hist(values, bins=40, histtype="stepfilled", density=True, alpha=0.6, color=colour, label=label)
    axes.set_title(title, loc="left", color=INK, fontsize=10)
    axes.set_xlabel(x_label)
    axes.set_yticks([])
    axes.legend(frameon=False, fontsize=8)
    return _svg(figure)


@_kept
def bars(values: Mapping[str, float], *, title: str, level: float | None = None, level_label: str = "") -> str:
    """Draw one bar a name; more than a dozen go without their names."""
    figure, axes = _drawing(4.2, 2.5)
    places = range(len(values))
    axes.bar(places, list(values.values()), color=BLUE, width=0.7)
    if len(values) <= 12:
        axes.set_xticks(places, list(values), fontsize=8, rotation=30 if len(values) > 5 else 0)
        for place, value in zip(places, values.values(), strict=True):
            axes.annotate(f"{value:.3g}", (place, value), ha="center", va="bottom", fontsize=8)
    else:
        axes.set_xticks([])
    if level is not None:
        axes.axhline(level, color=RED, linewidth=1, linestyle="--")
        axes.annotate(level_label, (len(values) - 0.42, level), color=RED, ha="right", va="bottom", fontsize=8)
    axes.set_xlim(-0.6, max(1, len(values)) - 0.4)
    axes.set_title(title, loc="left", color=INK, fontsize=10)
    return _svg(figure)


@_kept
def intervals(
    points: Sequence[tuple[str, float, float, float]], *, title: str, level: float | None = None, level_label: str = ""
) -> str:
    """Draw shares with their intervals (label, value, low, high), and optionally a level to compare them with.

    If there are many, their values are not written, and only labels that fit are shown.
    """
    figure, axes = _drawing(4.2, 2.5)
    every = max(1, -(-sum(len(label) + 2 for label, *_ in points) // LETTERS))
    for place, (_, value, low, high) in enumerate(points):
        axes.plot([place, place], [low, high], color=BLUE, linewidth=1.5)
        axes.plot([place], [value], "o", color=BLUE, markersize=6 if len(points) <= 12 else 3)
        if len(points) <= 12:
            axes.annotate(f"{value:.2f}", (place, value), textcoords="offset points", xytext=(7, -3), fontsize=8)
    if level is not None:
        axes.axhline(level, color=RED, linewidth=1, linestyle="--")
        axes.annotate(level_label, (-0.45, level), color=RED, va="bottom", fontsize=8)
    axes.set_xticks(range(0, len(points), every), [label for label, *_ in points[::every]])
    axes.set_xlim(-0.5, len(points) - 0.5)
    axes.set_ylim(0, 1)
    axes.set_title(title, loc="left", color=INK, fontsize=10)
    return _svg(figure)


@_kept
def ratings(points: Sequence[tuple[str, float, float, float]], *, title: str, even: float = 0.0) -> str:
    """Draw one number a name with its interval (label, value, low, high), names at the side, and a line at `even`."""
    figure, axes = _drawing(4.2, 0.9 + 0.3 * len(points))
    for row, (_, value, low, high) in enumerate(points):
        axes.plot([low, high], [row, row], color=BLUE, linewidth=1.5)
        axes.plot([value], [row], "o", color=BLUE)
    axes.axvline(even, color=GREY, linewidth=0.8)
    axes.set_yticks(range(len(points)), [label for label, *_ in points])
    axes.invert_yaxis()
    axes.set_title(title, loc="left", color=INK, fontsize=10)
    return _svg(figure)


@_kept
def frontier(
    points: Sequence[tuple[str, float, float]], *, title: str, path: Sequence[tuple[float, float]] = ()
) -> str:
    """Draw systems by KL and score (label, KL, score), and the way of a training, if any, as (KL, score).

    Of more than a dozen, the first two and the last are named.
    """
    figure, axes = _drawing(4.2, 2.9)
    if path:
        axes.plot([kl for kl, _ in path], [score for _, score in path], color=GREY, linewidth=0.8, zorder=1)
    for label, kl, score in points:
        axes.plot([kl], [score], "o", color=BLUE, zorder=2)
        if len(points) <= 12 or (label, kl, score) in (*points[:2], points[-1]):
            axes.annotate(label, (kl, score), textcoords="offset points", xytext=(5, 3), fontsize=8)
    axes.set_xlabel("KL, nats a sequence")
    axes.set_ylabel("score")
    axes.margins(x=0.18, y=0.15)
    axes.set_title(title, loc="left", color=INK, fontsize=10)
    return _svg(figure)


@_kept
def calibration(bins: Sequence[tuple[float, float, int]], *, title: str) -> str:
    """Draw how often options were chosen against how probable a model thought them: on the line it is right."""
    figure, axes = _drawing(4.2, 2.5)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    axes.plot([said for said, _, _ in bins], [seen for _, seen, _ in bins], "o-", color=BLUE, linewidth=1)
    axes.set_xlabel("probability by the reward model")
    axes.set_ylabel("share chosen")
    axes.set_title(title, loc="left", color=INK, fontsize=10)
    return _svg(figure)


@_kept
def copies(sources: Sequence[tuple[int, Sequence[int]]], *, title: str) -> str:
    """Draw sources as lines, one a row, as long as they are in bigrams, and mark the places that were copied."""
    figure, axes = _drawing(4.2, 2.9)
    for row, (length, places) in enumerate(sources):
        axes.plot([0, length], [row, row], color=GREY, linewidth=0.5, zorder=1)
        axes.plot(places, [row] * len(places), "|", color=BLUE, markersize=5, zorder=2)
    axes.set_xlabel("place in the source, in bigrams")
    axes.set_yticks([])
    axes.invert_yaxis()
    axes.set_title(title, loc="left", color=INK, fontsize=10)
    return _svg(figure)
