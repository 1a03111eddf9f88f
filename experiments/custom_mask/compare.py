"""Paired differences between runs: the same tokens, read by models that differ in their mask alone."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from etils import epath
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from hybridlm.facts.tokens import one_document
from hybridlm.masks import Mask, causal, materialize
from hybridlm.reports import plots
from hybridlm.statistics.intervals import differences

COLUMN = "score/ar"
SHOWN = ("all", "character_type", "bracket", "digits", "domain")
ENOUGH = 100
"""Tokens below which a category is left out of the picture; the table has it."""
PLACE = ["document", "position", "token"]


def compare(
    files: Mapping[str, epath.Path],
    main: str,
    masks: Mapping[str, Mask | None],
    out: epath.Path,
    console: Console | None = None,
) -> None:
    """Writes and prints what every mask loses against `main`, by category, in nats per token."""
    tables = {name: pd.read_parquet(path) for name, path in files.items()}
    for name, table in tables.items():
        if not table[PLACE].equals(tables[main][PLACE]):
            raise ValueError(
                f"{files[name]} holds other tokens than {files[main]}; compare runs read on the same text."
            )
    found = pd.concat([_against(tables[main], table, name) for name, table in tables.items() if name != main])
    (out / "comparison.csv").write_text(found.to_csv(index=False))
    plots.save(
        _picture(found, {name: causal() if mask is None else mask for name, mask in masks.items()}),
        out / "comparison.png",
    )
    (console or Console()).print(_table(found, main))


def _against(main: pd.DataFrame, other: pd.DataFrame, name: str) -> pd.DataFrame:
    """One row per family and label: mean of the other minus mean of the main run, with a paired interval."""
    families = [column.removeprefix("label/") for column in main if column.startswith("label/")]
    groups = pd.factorize(main["group"])[0]
    rows = [_difference(main, other, groups, np.zeros(len(main), int), ["all"], "all")]
    rows += [_of_family(main, other, groups, main[f"label/{family}"].cat, family) for family in families]
    return pd.concat(rows).assign(mask=name)


def _of_family(main, other, groups, labels, family) -> pd.DataFrame:
    return _difference(main, other, groups, labels.codes, list(labels.categories), family)


def _difference(main, other, groups, codes, labels, family) -> pd.DataFrame:
    flat, shape = groups * len(labels) + np.asarray(codes), (groups.max() + 1, len(labels))

    def sums(values=None):
        return np.bincount(flat, values, minlength=shape[0] * shape[1]).reshape(shape)

    count = sums()
    found = differences(sums(other[COLUMN]), count, sums(main[COLUMN]), count, seed=0)
    table = pd.DataFrame({"family": family, "label": labels, "tokens": count.sum(0), "groups": found.clusters_C})
    table = table.assign(difference=found.estimate_C, low=found.low_C, high=found.high_C)
    return table[table["tokens"] > 0]


def _picture(found: pd.DataFrame, masks: Mapping[str, Mask]) -> Figure:
    """The masks above, and below them what each costs on the larger categories."""
    shown = found[found["family"].isin(SHOWN) & (found["tokens"] >= ENOUGH)]
    shown = shown.assign(row=(shown["family"] + ": " + shown["label"]).str.replace("_", " "))
    rows = shown["row"].unique().tolist()
    with plots.style():
        figure = Figure(figsize=(9, 3.2 + 0.27 * len(rows)), layout="constrained")
        grid = figure.add_gridspec(2, len(masks), height_ratios=[2.4, 0.1 + 0.27 * len(rows)])
        for place, (name, mask) in enumerate(masks.items()):
            _draw_mask(figure.add_subplot(grid[0, place]), name, mask)
        _draw_differences(figure.add_subplot(grid[1, :]), shown, rows)
    return figure


def _draw_mask(axis: Axes, name: str, mask: Mask) -> None:
    axis.imshow(np.asarray(materialize(mask & causal(), one_document(32))[0]), cmap="Blues", vmin=0, vmax=1.3)
    axis.set(title=name, xlabel="key", ylabel="query", xticks=[], yticks=[])


def _draw_differences(axis: Axes, shown: pd.DataFrame, rows: list[str]) -> None:
    for number, (name, part) in enumerate(shown.groupby("mask", sort=False), 1):
        axis.errorbar(
            part["difference"],
            [rows.index(row) + 0.25 * (number - 1.5) for row in part["row"]],
            xerr=[part["difference"] - part["low"], part["high"] - part["difference"]],
            label=name,
            color=plots.PALETTE[number],
            marker=plots.MARKERS[number],
            linestyle="none",
        )
    axis.axvline(0, color=plots.GREY, linewidth=1)
    axis.set_yticks(range(len(rows)), rows)
    axis.invert_yaxis()
    axis.set_xlabel("nats per token more than causal (paired, 95 % interval over split groups)")
    axis.legend(loc="best")


def _table(found: pd.DataFrame, main: str) -> Table:
    table = Table(title=f"nats per token more than {main}, paired, 95 % interval over split groups", box=None)
    for heading, side in (
        ("family", "left"),
        ("label", "left"),
        ("tokens", "right"),
        *((m, "right") for m in found["mask"].unique()),
    ):
        table.add_column(heading, justify=side)
    for (family, label), part in found.groupby(["family", "label"], sort=False):
        cells = [f"{row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}]" for row in part.itertuples()]
        table.add_row(family.replace("_", " "), label.replace("_", " "), f"{part['tokens'].iloc[0]:,}", *cells)
    return table
