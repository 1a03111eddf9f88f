"""The regression of a comparison: gap ~ families + position + frequency + what a unigram pays, errors by cluster.

After the token-level comparison of transformers and hybrids (Li and Merrill 2026, arXiv 2606.20936), except that
difficulty is a unigram's cost, not the compared models' own, whose noise the gap itself holds.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from hybridlm.reports.comparing.aligned import Aligned
from hybridlm.reports.comparing.asked import adjustable
from hybridlm.reports.comparing.rows import Settings, plain
from hybridlm.reports.comparing.sums import Advance, slices
from hybridlm.statistics.design import Formula
from hybridlm.statistics.regression import Regression, fit

CONTROLLED = ("domain", "word_class", "copy", "subword", "bracket_role")
"""Families that are held fixed unless others are asked for, as far as the files have them."""

_UNIGRAM = "score/unigram"


def formula(text: Aligned, settings: Settings) -> Formula:
    """What the gap of a model is regressed on, from what the baseline's file knows."""
    adjustable(text, settings)
    names = settings.adjust or tuple(name for name in CONTROLLED if name in text.families)
    factors = {name: tuple(text.families[name].labels) for name in names}
    return Formula(response="gap", cluster="cluster", factors=factors, numbers=tuple(_numbers(text, slice(0, 0))))


def regression(text: Aligned, model: str, asked: Formula, settings: Settings, advance: Advance) -> Regression:
    """The fit of one model's gap; raises where there are too few tokens for it."""
    clusters = len(text.baseline.tokens.groups)
    return fit(lambda: _pieces(text, model, asked, advance), asked, clusters=clusters, level=settings.level)


def _pieces(text: Aligned, model: str, asked: Formula, advance: Advance) -> Iterator[Mapping[str, np.ndarray]]:
    base = text.baseline.name
    for cut in slices(len(text.row_T), advance):
        yield {
            "gap": text.cost[base][cut].astype(np.float64) - text.cost[model][cut],
            "cluster": text.cluster_T[cut],
            **_numbers(text, cut),
            **{name: text.label[name][cut] for name in asked.factors},
        }


def _numbers(text: Aligned, cut: slice) -> dict[str, np.ndarray]:
    tokens, rows = text.baseline.tokens, text.row_T[cut]
    found = {"log2 position": np.log2(tokens.position_T[rows] + 1.0)}
    if "frequency_rank" in tokens.columns:
        found["log2 frequency rank"] = np.log2(np.maximum(tokens.columns["frequency_rank"][rows], 1))
    if _UNIGRAM in tokens.columns and np.isfinite(tokens.columns[_UNIGRAM]).all():
        cost = tokens.columns[_UNIGRAM][rows].astype(np.float64)
        found |= {"unigram cost": cost, "unigram cost squared": cost**2}
    return found


def record_of(model: str, found: Regression) -> dict:
    """The fit as plain numbers."""
    columns = ("coefficient_P", "error_P", "low_P", "high_P", "p_P")
    return {
        "model": model,
        "coefficients": [
            {"name": name, "label": label}
            | {column.removesuffix("_P"): plain(getattr(found, column)[n]) for column in columns}
            for n, (name, label) in enumerate(found.regressors)
        ],
        "references": dict(found.references),
        "unseen": [list(regressor) for regressor in found.unseen],
        "aliased": [list(regressor) for regressor in found.aliased],
        "tokens": found.tokens,
        "clusters": found.clusters,
        "r_squared": plain(found.r_squared),
        "note": found.note,
    }
