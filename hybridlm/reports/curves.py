"""Training curves from `metrics.jsonl`: losses of every objective, filter and token category, against the step.

A line of the file is one JSON object with `step` and numbers by name. Three kinds of names are drawn: `loss/ar`,
`filtered/ar/new_content` (objective, filter) and `nll/ar/bracket/open` (objective, family, label); a leading
`validation/` makes the line a dashed one.
"""

import json
import re

import numpy as np
import pandas as pd
from etils import epath
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hybridlm.reports.blocks import words
from hybridlm.reports.plots import PALETTE, style

_LOSS = re.compile(r"(?:(?P<split>\w+)/)?loss/(?P<objective>[^/]+)")
_CATEGORY = re.compile(r"(?:(?P<split>\w+)/)?nll/(?P<objective>[^/]+)/(?P<family>[^/]+)/(?P<label>.+)")
_FILTERED = re.compile(r"(?:(?P<split>\w+)/)?filtered/(?P<objective>[^/]+)/(?P<filter>.+)")
_ACROSS = 3
_POINTS = 200


def read(path: epath.PathLike) -> pd.DataFrame:
    """Metrics by step; a half-written last line, such as a killed run leaves, is dropped."""
    text = epath.Path(path).read_text()
    return pd.DataFrame([json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()])


def losses(metrics: pd.DataFrame) -> Figure | None:
    """One line per objective, training and held-out; None if no loss was logged."""
    found = _matches(metrics, _LOSS)
    if not found:
        return None
    names = sorted({match["objective"] for match in found.values()})
    with style():
        figure = Figure(figsize=(8.4, 3.4), layout="constrained")
        axis = figure.subplots()
        for key, match in found.items():
            _line(axis, metrics, key, match["objective"], names.index(match["objective"]), match["split"])
        axis.set(xlabel="step", ylabel="nats per target")
        _finish(axis)
    return figure


def filtered(metrics: pd.DataFrame) -> Figure | None:
    """A panel per objective, a line per filter; None if no filtered loss was logged."""
    found = _matches(metrics, _FILTERED)
    return _multiples(metrics, found, panel="objective", line="filter") if found else None


def categories(metrics: pd.DataFrame) -> dict[str, Figure]:
    """Objective -> small multiples: a panel per family, a line per label."""
    found = _matches(metrics, _CATEGORY)
    objectives = dict.fromkeys(match["objective"] for match in found.values())
    return {
        name: _multiples(
            metrics,
            {key: match for key, match in found.items() if match["objective"] == name},
            panel="family",
            line="label",
        )
        for name in objectives
    }


def _multiples(metrics: pd.DataFrame, found: dict[str, re.Match], *, panel: str, line: str) -> Figure:
    """A panel for every name of one part of the keys, and in it a line for every name of another."""
    panels = list(dict.fromkeys(match[panel] for match in found.values()))
    down = -(-len(panels) // _ACROSS)
    with style():
        figure = Figure(figsize=(3.6 * min(len(panels), _ACROSS), 2.9 * down), layout="constrained")
        axes = figure.subplots(down, min(len(panels), _ACROSS), squeeze=False, sharex=True).ravel()
        for axis, name in zip(axes, panels):
            keys = [key for key, match in found.items() if match[panel] == name]
            lines = list(dict.fromkeys(found[key][line] for key in keys))
            for key in keys:
                called = found[key][line]
                _line(axis, metrics, key, words(called), lines.index(called), found[key]["split"])
            axis.set_title(words(name))
            _finish(axis)
        for axis in axes[len(panels) :]:
            axis.remove()
        figure.supxlabel("step", fontsize=9)
        figure.supylabel("nats per token", fontsize=9)
    return figure


def _matches(metrics: pd.DataFrame, pattern: re.Pattern) -> dict[str, re.Match]:
    return {key: match for key in metrics.columns if (match := pattern.fullmatch(key))}


def _line(axis: Axes, metrics: pd.DataFrame, key: str, name: str, place: int, split: str | None) -> None:
    """One series; held-out ones are dashed and dotted with their few points, and colours that come round are dotted."""
    seen = _thinned(metrics[["step", key]].dropna())
    form = {"linestyle": "--", "marker": "o", "markersize": 3} if split else {"linestyle": _dash(place)}
    label = f"{name} ({split})" if split else name
    axis.plot(seen["step"], seen[key], color=PALETTE[place % len(PALETTE)], label=label, **form)


def _thinned(points: pd.DataFrame) -> pd.DataFrame:
    """Means of neighbouring points, so that a long run is no longer to draw than a short one."""
    return points.groupby(np.arange(len(points)) // max(1, -(-len(points) // _POINTS))).mean()


def _dash(place: int) -> str:
    return "-" if place < len(PALETTE) else ":"


def _finish(axis: Axes) -> None:
    axis.grid(True, axis="both")
    axis.margins(x=0)
    axis.tick_params(labelbottom=True)
    axis.legend(
        loc="upper right", fontsize=7.5, ncols=2 if len(axis.lines) > 4 else 1, handlelength=1.4, columnspacing=1
    )
