"""Training curves from `metrics.jsonl`: losses of every objective, filter and token category, against the step.

A line of the file is one JSON object with `step` and numbers by name. Three kinds of names are drawn: `loss/ar`, or
`validation/loss/ar` of a reading of held-out text; `filtered/ar/new_content` (objective, filter); and
`nll/ar/bracket/open` (objective, family, label). Colours are those of the page; names stand at the ends of the lines.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping

import numpy as np
import pandas as pd
from etils import epath
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hybridlm.reports import line_names
from hybridlm.reports.blocks import words
from hybridlm.reports.plots import GREY, Look, style, tone
from hybridlm.reports.scores import Column

_LOSS = re.compile(r"(?P<held_out>validation/)?loss/(?P<name>[^/]+)")
_CATEGORY = re.compile(r"nll/(?P<name>[^/]+)/(?P<family>[^/]+)/(?P<label>.+)")
_FILTERED = re.compile(r"filtered/(?P<name>[^/]+)/(?P<filter>.+)")
_POINTS = 200
_FORMS = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)))
"""Of neighbouring shades: solid, dashed, dotted."""


def read(path: epath.PathLike) -> pd.DataFrame:
    """Metrics by step; a half-written last line, such as a killed run leaves, is dropped."""
    text = epath.Path(path).read_text()
    return pd.DataFrame([json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()])


def named(metrics: pd.DataFrame, readings: Iterable[Column]) -> pd.DataFrame:
    """The metrics with the names of readings as the page has them: a log writes "ar after prefix" with underscores."""
    logged = {f"validation/loss/{one.name.replace(' ', '_')}": f"validation/loss/{one.name}" for one in readings}
    return metrics.rename(columns=logged)


def names(metrics: pd.DataFrame) -> list[str]:
    """Every objective and reading that the metrics tell of."""
    found = [match for pattern in (_LOSS, _FILTERED, _CATEGORY) for match in _matches(metrics, pattern).values()]
    return list(dict.fromkeys(match["name"] for match in found))


def losses(metrics: pd.DataFrame, looks: Mapping[str, Look]) -> Figure | None:
    """Objectives in training and, beside them on the same scale, readings of held-out text if it was read twice or
    more; None if no loss was logged."""
    found = _matches(metrics, _LOSS)
    panels = {
        "training batches": [key for key, match in found.items() if not match["held_out"]],
        "held-out text": [key for key, match in found.items() if match["held_out"] and metrics[key].count() > 1],
    }
    panels = {title: keys for title, keys in panels.items() if keys}
    if not panels:
        return None
    with style():
        figure = Figure(figsize=(_width(len(panels)), 3.9), layout="constrained")
        axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
        for axis, (title, keys) in zip(axes, panels.items()):
            for key in keys:
                _line(axis, metrics, key, found[key]["name"], **_form(found[key], looks[found[key]["name"]]))
            axis.set_title(title)
            _finish(axis)
        _name(axes, 3.1)
    return figure


def _form(match: re.Match, look: Look) -> dict:
    """Dots for the few points of held-out text; a baseline, which no training changes, is a grey dashed line."""
    if look["color"] == GREY:
        return {"color": GREY, "linestyle": (0, (4, 2))}
    return {"color": look["color"]} | ({"marker": look["marker"], "markersize": 4.5} if match["held_out"] else {})


def filtered(metrics: pd.DataFrame, looks: Mapping[str, Look]) -> Figure | None:
    """A panel per objective, a line per filter; None if no filtered loss was logged."""
    panels = {}
    for key, match in _matches(metrics, _FILTERED).items():
        panels.setdefault(match["name"], {})[words(match["filter"])] = key
    return _multiples(metrics, panels, {name: looks[name]["color"] for name in panels}) if panels else None


def categories(
    metrics: pd.DataFrame, looks: Mapping[str, Look], families: Mapping[str, Collection[str]]
) -> dict[str, Figure]:
    """Objective -> small multiples: a panel for each of these families, a line for each of its labels here.

    A family with one label alone is left out, as its line is the loss.
    """
    found = {}
    for key, match in _matches(metrics, _CATEGORY).items():
        if match["label"] in families.get(match["family"], ()):
            found.setdefault(match["name"], {}).setdefault(words(match["family"]), {})[words(match["label"])] = key
    split = {
        name: {title: lines for title, lines in panels.items() if len(lines) > 1} for name, panels in found.items()
    }
    return {
        name: _multiples(metrics, panels, dict.fromkeys(panels, looks[name]["color"]))
        for name, panels in split.items()
        if panels
    }


def _multiples(metrics: pd.DataFrame, panels: Mapping[str, Mapping[str, str]], colors: Mapping[str, str]) -> Figure:
    """A panel for each title, in shades of its colour, with a line for each name of a metric."""
    across = 2 if len(panels) == 4 else min(len(panels), 3)
    down = -(-len(panels) // across)
    height = max(1.7, 0.19 * max(map(len, panels.values())))
    with style():
        figure = Figure(figsize=(_width(across), (height + 0.75) * down), layout="constrained")
        axes = figure.subplots(down, across, squeeze=False, sharex=True).ravel()
        for axis, (title, lines) in zip(axes, panels.items()):
            for place, (name, key) in enumerate(lines.items()):
                shade = _shade(colors[title], place, len(lines))
                _line(axis, metrics, key, name, color=shade, linestyle=_FORMS[place % len(_FORMS)])
            axis.set_title(title)
            _finish(axis)
        _name(axes[: len(panels)], height)
        for axis in axes[len(panels) :]:
            axis.remove()
    return figure


def _width(across: int) -> float:
    """Inches of a figure with so many panels side by side: the page, or little more than half of it."""
    return 11.6 if across > 1 else 6.6


def _shade(color: str, place: int, count: int) -> str:
    """From light to dark, the colour itself in the middle."""
    light = 0.5 - place / (count - 1) if count > 1 else 0.0
    return tone(color, 1 - abs(light), float(light > 0))


def _matches(metrics: pd.DataFrame, pattern: re.Pattern) -> dict[str, re.Match]:
    """The metrics with such a name that have a number at some step."""
    return {key: match for key in metrics.columns if (match := pattern.fullmatch(key)) and metrics[key].count()}


def _line(axis: Axes, metrics: pd.DataFrame, key: str, name: str, **form) -> None:
    """One series by its name."""
    seen = _thinned(metrics[["step", key]].dropna())
    axis.plot(seen["step"], seen[key], label=name, **form)


def _thinned(points: pd.DataFrame) -> pd.DataFrame:
    """Means of neighbouring points, so that a long run is no longer to draw than a short one."""
    return points.groupby(np.arange(len(points)) // max(1, -(-len(points) // _POINTS))).mean()


def _finish(axis: Axes) -> None:
    axis.grid(True, axis="both")
    axis.margins(x=0.03, y=0.06)
    axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.tick_params(labelbottom=True, labelleft=True)
    axis.set_xlabel("step")
    axis.set_ylabel("nats per predicted token")


def _name(axes: np.ndarray, height: float) -> None:
    """Names all lines, once the scales of all panels are known; what the axes are is said at the left and below."""
    for axis in axes:
        line_names.write(axis, height)
        axis.label_outer()
        axis.tick_params(labelbottom=True, labelleft=True)
