"""What predictions say besides the loss, compared like it: entropy, accuracy, confidence and their like, by category.

A gap is baseline minus model in the metric's own unit, with an interval that is clustered by group.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from hybridlm.reports.comparing.aligned import Aligned, Source
from hybridlm.reports.comparing.rows import Settings, plain
from hybridlm.reports.comparing.sums import Advance, categories, joint_sums
from hybridlm.statistics.intervals import linearised
from hybridlm.statistics.linearised import ratio

METRICS: Mapping[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "entropy": ("entropy", lambda entropy_T: entropy_T),
    "confidence": ("confidence", lambda confidence_T: confidence_T),
    "accuracy": ("correct", lambda is_correct_T: is_correct_T),
    "top_5": ("rank", lambda rank_T: rank_T <= 5),
    "reciprocal_rank": ("rank", lambda rank_T: 1 / np.maximum(rank_T, 1)),
    "brier": ("brier", lambda brier_T: brier_T),
}
"""Metric -> the column of a token file it is made from, and how."""


def metrics(text: Aligned, settings: Settings, advance: Advance) -> list[dict[str, Any]]:
    """A record for every model, metric that its file and the baseline's can tell, and label; none across tokenizers."""
    shared = [name for name, (column, _) in METRICS.items() if all(s.values(column) is not None for s in text.sources)]
    if text.unit != "token" or not shared:
        return []
    total_SKNC, count_NC = _sums(text, shared, advance)
    base_KNC, *models = total_SKNC
    found = []
    for source, model_KNC in zip(text.sources[1:], models, strict=True):
        for name, ours_NC, theirs_NC in zip(shared, base_KNC, model_KNC, strict=True):
            found += _records(text, source.name, name, (ours_NC, theirs_NC, count_NC), settings.level)
    return found


def _sums(text: Aligned, shared: list[str], advance: Advance) -> tuple[Float[np.ndarray, "S K N C"], np.ndarray]:
    """Totals by source and metric, and the tokens of which all sources tell all metrics."""
    value_QT = [_told(source, text, name) for source in text.sources for name in shared]
    is_told_T = functools.reduce(np.logical_and, map(np.isfinite, value_QT))
    columns = [*(np.where(is_told_T, value_T, 0) for value_T in value_QT), is_told_T]
    *totals, count_NC = joint_sums(text, columns, advance)
    return np.stack(totals).reshape(len(text.sources), len(shared), *count_NC.shape), count_NC


def _told(source: Source, text: Aligned, name: str) -> Float[np.ndarray, "T"]:
    """A metric of every row; NaN where the token was not scored."""
    column, make = METRICS[name]
    row_T = text.rows[source.name]
    value_T = source.values(column)[row_T]
    is_missing_T = ~np.isfinite(source.score_T[row_T]) | ((value_T < 0) if column == "rank" else False)
    return np.where(is_missing_T, np.nan, make(value_T)).astype(np.float32)


def _records(text: Aligned, model: str, name: str, sums_NC: tuple[np.ndarray, ...], level: float):
    ours_NC, theirs_NC, count_NC = sums_NC
    gap = linearised(ours_NC - theirs_NC, count_NC, level=level)
    means = [ratio(total_NC.sum(0), count_NC.sum(0)) for total_NC in (ours_NC, theirs_NC)]
    columns = {"baseline": means[0], "mean": means[1], "gap": gap.estimate_C, "low": gap.low_C, "high": gap.high_C}
    for c, (family, label) in enumerate(categories(text)):
        if count_NC[:, c].any():
            place = {"model": model, "metric": name, "family": family, "label": label}
            numbers = {what: plain(values_C[c]) for what, values_C in columns.items()}
            yield place | numbers | {"count": int(count_NC[:, c].sum()), "clusters": int(gap.clusters_C[c])}
