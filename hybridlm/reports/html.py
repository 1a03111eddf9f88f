"""One HTML file with everything a reader needs: no link, no script and no font from elsewhere, every text escaped."""

from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from etils import epath
from jaxtyping import Bool

from hybridlm.reports import curves as training_curves
from hybridlm.reports import plots
from hybridlm.reports.blocks import BOLD, Block, baseline_of, blocks, ordered, words
from hybridlm.reports.sample import LEVELS, Sample, level, visible
from hybridlm.reports.scores import ALL, KINDS, Column, Row, Scores
from hybridlm.statistics.intervals import FEW

TITLES = {
    "entropy": "entropy",
    "accuracy": "accuracy",
    "top_5": "in the top 5",
    "reciprocal_rank": "reciprocal rank",
    "confidence": "confidence",
    "brier": "Brier score",
    "gate": "gate",
}
"""What else a prediction tells, as the page calls it."""

RUN_WORDS = {
    "residual": "nats by which tokens miss what their sequences cost as a whole; rounding alone",
    "request": "hash of model, text and how it is read: equal where the values must be",
    "values": "hash of the value of every token",
    "labels": "hash of the families and their labels",
}
"""What facts of the run mean whose name does not say it."""

RARE = 0.005
"""Share of the tokens below which a label has no curve of training: so few tokens a step make noise."""


def write(
    scores: Scores,
    curves: pd.DataFrame | None,
    path: epath.PathLike,
    *,
    masks: Mapping[str, Bool[np.ndarray, "T S"]] | None = None,
    samples: Sequence[Sample] = (),
) -> None:
    """Writes the report; `curves` are metrics by step as `curves.read` gives them, `masks` pictures by title."""
    epath.Path(path).write_text(render(scores, curves, masks=masks or {}, samples=samples))


def render(scores: Scores, curves: pd.DataFrame | None, *, masks: Mapping[str, Any], samples: Sequence[Sample]) -> str:
    """The report as text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hybridlm", "reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"nats": "{:.3f}".format, "words": words, "fact": _fact, "visible": visible, "level": level}
    total, *families = blocks(scores)
    metrics = training_curves.named(pd.DataFrame() if curves is None else curves, scores.columns)
    looks = plots.looks(scores, training_curves.names(metrics))
    return environment.get_template("report.html").render(
        title=scores.run.get("name", "Scores by token category"),
        bold=BOLD,
        run=scores.run,
        columns=[_column(scores, column, looks[column.name]["color"]) for column in ordered(scores)],
        total=total.lines[0],
        told=[column.name for column in ordered(scores) if _is_told(total.lines[0].cells[column.name].row)],
        titles=TITLES,
        run_words=RUN_WORDS,
        families=[(block, plots.data_uri(plots.categories(scores, block.family))) for block in families],
        kinds={kind: text for kind, text in KINDS.items() if kind in {column.kind for column in scores.columns}},
        few_groups=FEW,
        rare=RARE,
        levels=LEVELS,
        curves=_curves(metrics, looks, families),
        masks={title: plots.data_uri(plots.mask(is_visible_TS)) for title, is_visible_TS in masks.items()},
        samples=samples,
    )


def _is_told(row: Row) -> bool:
    """Does one prediction stand behind each value of the column?"""
    return row.entropy is not None


def _column(scores: Scores, column: Column, color: str) -> dict[str, Any]:
    """What the template asks of a column, with its gain over the baseline in nats per token of all its targets."""
    mean = {row.column: row.mean for row in scores.rows if row.family == ALL}
    base = baseline_of(scores, column)
    return {
        "facts": column,
        "color": color,
        "baseline": base,
        "gain": mean[base.name] - mean[column.name] if base else None,
    }


def _curves(metrics: pd.DataFrame, looks: Mapping[str, plots.Look], families: Sequence[Block]) -> dict[str, Any]:
    """The figures of training, none without losses: those, what filters let through, and by objective the classes."""
    losses, filtered = training_curves.losses(metrics, looks), training_curves.filtered(metrics, looks)
    if losses is None:
        return {}
    common = {block.family: [line.label for line in block.lines if line.share >= RARE] for block in families}
    by_category = training_curves.categories(metrics, looks, common)
    return {
        "losses": plots.data_uri(losses),
        "filtered": filtered and plots.data_uri(filtered),
        "categories": {name: plots.data_uri(figure) for name, figure in by_category.items()},
    }


def _fact(value: Any) -> str:
    """A fact of the run as a person writes it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{words(name)} {_fact(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_fact, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
