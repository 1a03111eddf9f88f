"""Pictures of scores: dots with intervals by category, one panel per kind, so that unlike numbers never share an axis.

Figures are made without pyplot: they have no global state, need no display, and colours survive colour blindness and
grey print (Okabe and Ito's palette, a marker of its own for every reading). On one page a name has one look, which
`looks` hands out; a hue always means a reading or an objective, and what is told apart within it are its shades.
"""

import base64
import contextlib
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from etils import epath
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_hex, to_rgb
from matplotlib.figure import Figure

from hybridlm.reports.blocks import Block, baseline_of, blocks, ordered, words
from hybridlm.reports.scores import Column, Row, Scores

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#8a8f98"
INK, SOFT = "#1f2430", "#4b5563"
"""Colours of what is said, and of what is said in passing."""

Look = Mapping[str, Any]
"""Colour, marker and its size, as matplotlib takes them."""

_BASELINE = {"color": GREY, "marker": "|", "markersize": 12, "markeredgewidth": 2}
WIDE = 3
"""Intervals so many times as wide as the median one, and wider than means are apart, are cut."""
_STYLE = {
    "axes.edgecolor": "#c9ced6",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": SOFT,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.labelsize": 10,
    "font.family": "sans-serif",
    "svg.fonttype": "none",
    "font.size": 10,
    "grid.color": "#e8ebef",
    "legend.fontsize": 10,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "svg.hashsalt": "hybridlm",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": SOFT,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}


def style() -> contextlib.AbstractContextManager:
    """The look of every figure; to be in force while one is drawn and while it is saved."""
    return matplotlib.rc_context(_STYLE)


def looks(scores: Scores, others: Iterable[str] = ()) -> dict[str, Look]:
    """The look of each name on a page: readings in the order of its tables, then `others`; a baseline is a grey bar."""
    columns = ordered(scores)
    names = dict.fromkeys([*(column.name for column in columns if not column.is_baseline), *others])
    baselines = {column.name: _BASELINE for column in columns if column.is_baseline}
    return {name: look(place) for place, name in enumerate(names)} | baselines


def look(place: int) -> Look:
    """Of the n-th name; where colours come round again, they meet other markers."""
    turn = place // len(PALETTE)
    color, marker = PALETTE[place % len(PALETTE)], MARKERS[(place + turn) % len(MARKERS)]
    return {"color": color, "marker": marker, "markersize": 5.5}


def tone(color: str, part: float, rest: float) -> str:
    """A mixture with so much of the colour, the rest of it black (0) to white (1)."""
    return to_hex([part * channel + (1 - part) * rest for channel in to_rgb(color)])


def panels(scores: Scores) -> dict[tuple[str, str], list[Column]]:
    """(kind, targets) -> its columns, the baseline of these targets first; a baseline alone makes no panel."""
    found = {}
    for column in ordered(scores):
        if not column.is_baseline:
            base = baseline_of(scores, column)
            found.setdefault((column.kind, column.targets), [base] if base else []).append(column)
    return found


def categories(scores: Scores, family: str) -> Figure:
    """Mean nats per token of every label of a family, with intervals: a panel for each kind and set of targets.

    Panels have scales of their own, since their numbers do not compare. An interval of few groups that would be far
    wider than all else is cut at the edge, with an arrow.
    """
    block = next(block for block in blocks(scores) if block.family == family)
    groups, look_of = panels(scores), looks(scores)
    with style():
        width = 1.6 + min(3.4 * len(groups), 10.2)
        figure = Figure(figsize=(width, 1.2 + 0.42 * len(block.lines)), layout="constrained")
        figure.get_layout_engine().set(wspace=0.06)
        axes = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
        for axis, ((kind, targets), columns) in zip(axes, groups.items(), strict=True):
            _panel(axis, look_of, block, columns)
            axis.set_title(f"{kind}\n{targets}")
            axis.set_xlabel("nats per token")
        axes[0].set_yticks(range(len(block.lines)), [words(line.label) for line in block.lines])
        axes[0].set_ylim(len(block.lines) - 0.5, -0.5)
        legend(figure, axes)
    return figure


def _panel(axis: Axes, look_of: Mapping[str, Look], block: Block, columns: list[Column]) -> None:
    """The readings of one kind: a little apart from each other, around the baseline's bar."""
    readings = [column for column in columns if not column.is_baseline]
    apart = min(0.2, 0.8 / len(readings))
    offsets = {column.name: apart * (place - (len(readings) - 1) / 2) for place, column in enumerate(readings)}
    found = [_rows(block, column) for column in columns]
    axis.set_xlim(_edges([row for here in found for row in here.values()]))
    for column, here in zip(columns, found, strict=True):
        places_N = np.array(list(here)) + offsets.get(column.name, 0.0)
        mean_N, ends_2N = np.array([row.mean for row in here.values()]), _intervals(here.values())
        xerr = None if column.is_baseline else np.abs(ends_2N - mean_N)
        drawn = {"label": column.name, "linestyle": "none", "elinewidth": 1.4, **look_of[column.name]}
        axis.errorbar(mean_N, places_N, xerr=xerr, **drawn)
        if not column.is_baseline:
            _arrows(axis, ends_2N, places_N, drawn["color"])


def _rows(block: Block, column: Column) -> dict[int, Row]:
    """The column's rows by the place of their label."""
    cells = {place: line.cells.get(column.name) for place, line in enumerate(block.lines)}
    return {place: cell.row for place, cell in cells.items() if cell}


def _intervals(rows: Iterable[Row]) -> Float[np.ndarray, "2 N"]:
    """Both ends of every interval; the mean where there is none."""
    ends = [(row.mean if row.low is None else row.low, row.mean if row.high is None else row.high) for row in rows]
    return np.array(ends).reshape(-1, 2).T


def _edges(rows: Sequence[Row]) -> tuple[float, float]:
    """Where a panel begins and ends: all means are in it, and intervals that are not far wider than all else."""
    if not rows:
        return 0.0, 1.0
    mean_N, (low_N, high_N) = np.array([row.mean for row in rows]), _intervals(rows)
    is_held_N = high_N - low_N <= max(np.ptp(mean_N), WIDE * np.median(high_N - low_N))
    ends = np.concatenate([mean_N, low_N[is_held_N], high_N[is_held_N]])
    room = 0.06 * np.ptp(ends) or 0.5
    return ends.min() - room, ends.max() + room


def _arrows(axis: Axes, ends_2N: Float[np.ndarray, "2 N"], places_N: Float[np.ndarray, "N"], color: str) -> None:
    """Marks, just within the edge, where an interval goes on beyond it."""
    left, right = axis.get_xlim()
    inset = 0.02 * (right - left)
    for edge, is_cut_N, marker in (
        (left + inset, ends_2N[0] < left, "<"),
        (right - inset, ends_2N[1] > right, ">"),
    ):
        beyond_N = places_N[is_cut_N]
        axis.plot(np.full(len(beyond_N), edge), beyond_N, marker, color=color, markersize=4)


def legend(figure: Figure, axes: Iterable[Axes]) -> None:
    """Every series once, above the panels, in as few lines as the figure is wide enough for."""
    series = {}
    for axis in axes:
        for handle, name in zip(*axis.get_legend_handles_labels()):
            series.setdefault(name, handle)
    inches = 0.75 + 0.08 * max(map(len, series), default=0)  # a column is as wide as its longest name
    lines = math.ceil(len(series) / max(1, int(figure.get_figwidth() / inches)))
    columns = math.ceil(len(series) / max(1, lines))
    figure.legend(series.values(), series.keys(), loc="outside upper left", ncols=columns)


def mask(is_visible_TS: Bool[np.ndarray, "T S"], title: str = "", queries=None, keys=None) -> Figure:
    """Who sees whom: a dark square where the query of that row attends to the key of that column."""
    rows, width = is_visible_TS.shape
    cell = min(0.24, 3 / max(rows, width))
    with style():
        figure = Figure(figsize=(1.2 + cell * width, 1.0 + cell * rows), layout="constrained")
        axis = figure.subplots()
        axis.imshow(is_visible_TS, cmap=ListedColormap(["#f3f5f8", PALETTE[0]]), vmin=0, vmax=1)
        axis.set(title=title, xlabel="key", ylabel="query")
        axis.xaxis.set_label_position("top")
        axis.xaxis.tick_top()
        axis.set_xticks(*_ticks(width, keys), rotation=0 if keys is None else 90)
        axis.set_yticks(*_ticks(rows, queries))
        axis.grid(False)
        if cell > 0.08:
            axis.set_xticks(np.arange(width + 1) - 0.5, minor=True)
            axis.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
            axis.grid(True, which="minor", axis="both", color="white", linewidth=1)
        axis.tick_params(which="both", length=0)
        axis.spines[:].set_visible(False)
    return figure


def _ticks(count: int, names) -> tuple[list[int], list[str]]:
    """Every position by its name, or about eight positions by number."""
    places = list(range(count)) if names is not None else list(range(0, count, max(1, -(-count // 8))))
    return places, [str(names[place]) if names is not None else str(place) for place in places]


def save(figure: Figure, path: epath.PathLike) -> None:
    """Writes the figure in the format of the file's ending: .svg, .png or .pdf."""
    path = epath.Path(path)
    path.write_bytes(_bytes(figure, path.suffix.removeprefix(".")))


def data_uri(figure: Figure) -> str:
    """The figure as the `src` of an image that needs no file; the same figure gives the same text every time."""
    return "data:image/svg+xml;base64," + base64.b64encode(_bytes(figure, "svg")).decode()


def _bytes(figure: Figure, form: str) -> bytes:
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format=form, dpi=160, metadata={"Date": None} if form == "svg" else None)
    return buffer.getvalue()
