"""Curves as a table in the terminal, as CSV and as a picture."""

from collections.abc import Sequence

import pandas as pd
from etils import epath
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from experiments.probes.curves import Curve
from hybridlm.reports import plots

CHANCE = {"recall efficiency": 0.0, "cliff": 0.0, "accuracy": 0.5, "margin": 0.0}
"""What a model gets that remembers nothing."""


def show(curves: Sequence[Curve], directory: epath.Path, console: Console | None = None) -> None:
    """Writes curves.csv and curves.png, and prints a line per probe, measure and distance."""
    (directory / "curves.csv").write_text(table(curves).to_csv(index=False))
    plots.save(picture(curves), directory / "curves.png")
    (console or Console()).print(_printed(curves))


def table(curves: Sequence[Curve]) -> pd.DataFrame:
    """A row for each point of each curve."""
    parts = [
        pd.DataFrame(
            {
                "probe": curve.probe,
                "measure": curve.measure,
                "unit": curve.unit,
                "distance": curve.distances,
                "estimate": curve.found.estimate_C,
                "low": curve.found.low_C,
                "high": curve.found.high_C,
                "groups": curve.found.clusters_C,
                "note": curve.found.notes,
            }
        )
        for curve in curves
    ]
    return pd.concat(parts, ignore_index=True)


def picture(curves: Sequence[Curve]) -> Figure:
    """A panel for each measure, a line for each probe."""
    measures = list(dict.fromkeys(curve.measure for curve in curves))
    with plots.style():
        figure = Figure(figsize=(4.2 * len(measures), 3.4), layout="constrained")
        for axis, measure in zip(figure.subplots(1, len(measures), squeeze=False)[0], measures):
            shown = [curve for curve in curves if curve.measure == measure]
            for place, curve in enumerate(shown):
                found, middle = curve.found, (len(shown) - 1) / 2
                axis.errorbar(
                    [distance * 1.04 ** (place - middle) for distance in curve.distances],
                    found.estimate_C,
                    yerr=[found.estimate_C - found.low_C, found.high_C - found.estimate_C],
                    label=curve.probe.replace("_", " "),
                    color=plots.PALETTE[place],
                    marker=plots.MARKERS[place],
                )
            axis.axhline(CHANCE[measure], color=plots.GREY, linewidth=1)
            distances = sorted({distance for curve in shown for distance in curve.distances})
            axis.set_xscale("log")
            axis.set_xticks(distances, [f"{distance:,}" for distance in distances])
            axis.minorticks_off()
            axis.set(title=measure, xlabel="words back", ylabel=shown[0].unit or "share")
            axis.legend(fontsize=7.5)
    return figure


def _printed(curves: Sequence[Curve]) -> Table:
    distances = sorted({distance for curve in curves for distance in curve.distances})
    printed = Table(title="by distance in words, 95 % interval over templates or spans", box=None)
    for name in ("probe", "measure"):
        printed.add_column(name)
    for distance in distances:
        printed.add_column(f"{distance:,}", justify="right")
    for curve in curves:
        found = zip(curve.distances, curve.found.estimate_C, curve.found.low_C, curve.found.high_C)
        cells = {distance: f"{mean:.2f} [{low:.2f}, {high:.2f}]" for distance, mean, low, high in found}
        printed.add_row(curve.probe.replace("_", " "), curve.measure, *(cells.get(d, "") for d in distances))
    return printed
