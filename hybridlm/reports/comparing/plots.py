"""Pictures of a comparison: gaps with intervals and placebo envelopes, reliability, and the gap by frequency."""

from collections.abc import Sequence

import numpy as np
from etils import epath
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hybridlm.reports.blocks import words
from hybridlm.reports.comparison import Comparison, Row
from hybridlm.reports.plots import GREY, Look, legend, look, save, style
from hybridlm.reports.scores import ALL
from hybridlm.statistics.intervals import FEW

_ENVELOPES = {"seeds": "#dfe3e8", "placebo": "#f3e3c3"}


def forest(found: Comparison, family: str) -> Figure:
    """The gaps of a family's labels, a dot and interval for each model, over the envelopes of the first model."""
    labels = list(dict.fromkeys(row.label for row in found.rows if row.family == family))
    by_model = {model.name: {row.label: row for row in found.rows_of(model.name, family)} for model in found.models}
    with style():
        figure = Figure(figsize=(7.2, 1.1 + (0.26 + 0.12 * len(by_model)) * len(labels)), layout="constrained")
        axis = figure.subplots()
        _envelopes(axis, [by_model[found.models[0].name].get(label) for label in labels])
        axis.axvline(0, color=GREY, linewidth=1)
        margin = found.settings["margin"]
        for edge in (-margin, margin):
            axis.axvline(edge, color=GREY, linewidth=0.8, linestyle=(0, (2, 2)))
        for number, (name, rows) in enumerate(by_model.items()):
            _series(axis, [rows.get(label) for label in labels], number, len(by_model), name)
        axis.set_yticks(range(len(labels)), [words(label) for label in labels])
        axis.set_ylim(len(labels) - 0.5, -0.5)
        is_few = any(row.clusters < FEW for rows in by_model.values() for row in rows.values())
        few = f"; pale and hollow: fewer than {FEW} groups" * is_few
        axis.set_xlabel(f"nats per {found.unit} gained over {found.baseline.name}{few}")
        axis.set_title(words(family))
        if len(by_model) > 1:
            legend(figure, [axis])
    return figure


def _envelopes(axis: Axes, rows: Sequence[Row | None]) -> None:
    """Shaded boxes behind each label; one without an end on either side is not drawn."""
    for place, row in enumerate(rows):
        for name, color in _ENVELOPES.items():
            low, high = (getattr(row, f"{name}_{end}", None) for end in ("low", "high"))
            if low is not None and high is not None:
                axis.barh(place, high - low, left=low, height=0.84, color=color, zorder=0)


def _series(axis: Axes, rows: Sequence[Row | None], number: int, of: int, name: str) -> None:
    seen = look(number)
    axis.plot([], [], **seen, label=name)  # of many groups, whatever the first label has
    for place, row in enumerate(rows):
        if row is None or row.gap is None:
            continue
        height = place + min(0.18, 0.84 / of) * (number - (of - 1) / 2)  # within the shaded box of its label
        is_few = row.clusters < FEW
        ends = None if row.band_low is None else [[row.gap - row.band_low], [row.band_high - row.gap]]
        axis.errorbar(
            row.gap,
            height,
            xerr=ends,
            **seen,
            markerfacecolor="white" if is_few else seen["color"],
            elinewidth=1.4,
            alpha=0.6 if is_few else 1,
        )


def reliability(found: Comparison) -> Figure:
    """How often the likeliest token came true, by the confidence it had; on the line if calibrated."""
    curves = [record for record in found.calibration if record["family"] == ALL]
    names = [entry.name for entry in found.readings]
    with style():
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        axis = figure.subplots()
        axis.plot([0, 1], [0, 1], color=GREY, linewidth=1)
        for record in curves:
            bins = {name: np.array(values, float) for name, values in record["bins"].items()}
            axis.errorbar(
                bins["confidence"],
                bins["accuracy"],
                yerr=1.96 * np.nan_to_num(bins["error"]),
                **_look(names.index(record["reading"])),
                elinewidth=1,
                clip_on=False,
                label=f"{record['reading']}  ECE {record['ece']:.3f}",
            )
        axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share that came true", aspect="equal")
        figure.legend(loc="outside right upper", fontsize=8)
    return figure


def _look(reading: int) -> Look:
    """The baseline, which is the first reading, in grey; the others as in every picture of gaps."""
    return {**look(0), "color": GREY, "marker": "s"} if reading == 0 else look(reading - 1)


def frequency(found: Comparison) -> Figure:
    """The gap by the rank of the token's frequency."""
    with style():
        figure = Figure(figsize=(7.2, 3.2), layout="constrained")
        axis = figure.subplots()
        axis.axhline(0, color=GREY, linewidth=1)
        for number, model in enumerate(found.models):
            points = [record for record in found.frequency if record["model"] == model.name]
            rank, gap, low, high = (
                np.array([p[name] for p in points], float) for name in ("rank", "value", "low", "high")
            )
            axis.plot(rank, gap, **look(number), label=model.name)
            axis.fill_between(rank, low, high, color=look(number)["color"], alpha=0.15, linewidth=0)
        axis.set_xscale("log")
        over = f"over {found.baseline.name}"
        axis.set(xlabel="frequency rank of the token", ylabel=f"nats per {found.unit} gained\n{over}")
        axis.xaxis.set_major_formatter("{x:,.0f}")
        legend(figure, [axis])
    return figure


def figures(found: Comparison) -> dict[str, Figure]:
    """Every picture that the record has numbers for, by file name."""
    made = {f"gap_{family}": forest(found, family) for family in dict.fromkeys(row.family for row in found.rows)}
    if found.calibration:
        made["reliability"] = reliability(found)
    if found.frequency:
        made["frequency"] = frequency(found)
    return made


def write(found: Comparison, directory: epath.PathLike) -> None:
    """Writes each figure as PNG and PDF."""
    directory = epath.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    for name, figure in figures(found).items():
        for ending in ("png", "pdf"):
            save(figure, directory / f"{_safe(name)}.{ending}")


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "_-" else "_" for c in name)
