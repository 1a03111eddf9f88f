"""The regressors of tokens that come in pieces, and their sums: dense normal equations of rows that are mostly zero.

A token has one label per factor and a few numbers, so its row is a short list of (place, value); [T, P] never exists.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from hybridlm.config.errors import ConfigError, require

Regressor = tuple[str, str]
"""A column of the tokens and, for a factor, one of its labels; "" labels a number and the intercept."""

Tokens = Mapping[str, np.ndarray]
"""Columns by name, one entry a token."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Formula:
    """Names of the tokens' columns: the `response`, their `cluster`, `factors` with their labels, and `numbers`."""

    response: str
    cluster: str
    factors: Mapping[str, Sequence[str]]
    numbers: Sequence[str] = ()

    @property
    def regressors(self) -> tuple[Regressor, ...]:
        """The intercept, every label of every factor, and the numbers."""
        labels = [(name, label) for name, labels in self.factors.items() for label in labels]
        return (("intercept", ""), *labels, *((name, "") for name in self.numbers))


@dataclasses.dataclass(frozen=True)
class NormalEquations:
    """Sums over tokens of x xᵀ, x y and y²; the first regressor is 1, so that the first row counts."""

    gram_PP: Float[np.ndarray, "P P"]
    moment_P: Float[np.ndarray, "P"]
    square: float


def normal_equations(pieces: Iterable[Tokens], formula: Formula) -> NormalEquations:
    """Adds up the pieces; raises by name where a column holds a value that is not finite."""
    regressors = len(formula.regressors)
    gram_PP, moment_P, square = np.zeros((regressors, regressors)), np.zeros(regressors), 0.0
    for piece in pieces:
        entries, y_T = _entries(piece, formula), np.asarray(piece[formula.response], np.float64)
        for n, (place_T, value_T) in enumerate(entries):
            np.add.at(moment_P, place_T, value_T * y_T)
            for other_T, factor_T in entries[: n + 1]:  # later places are larger: the lower triangle
                np.add.at(gram_PP.reshape(-1), place_T * regressors + other_T, value_T * factor_T)
        square += float(y_T @ y_T)
    sums = dict(zip([name for name, _ in formula.regressors], gram_PP[:, 0])) | {formula.response: square}
    broken = [name for name, value in sums.items() if not np.isfinite(value)]
    require(not broken, f"columns {broken} hold values that are not finite; leave out the tokens that have none.")
    return NormalEquations(np.tril(gram_PP) + np.tril(gram_PP, -1).T, moment_P, square)


def scores(
    pieces: Iterable[Tokens], formula: Formula, coefficient_P: Float[np.ndarray, "P"], *, clusters: int
) -> tuple[Float[np.ndarray, "N P"], float]:
    """Sums of x · residual over each cluster that has tokens, and the sum of squared residuals."""
    regressors, square = coefficient_P.size, 0.0
    score_NP, is_seen_N = np.zeros((clusters, regressors)), np.zeros(clusters, bool)
    for piece in pieces:
        entries, cluster_T = _entries(piece, formula), piece[formula.cluster].astype(np.int64)
        is_seen_N |= np.bincount(cluster_T, minlength=clusters) > 0  # fails on a cluster there is not
        residual_T = piece[formula.response] - sum(coefficient_P[place] * value for place, value in entries)
        for place_T, value_T in entries:
            np.add.at(score_NP.reshape(-1), cluster_T * regressors + place_T, value_T * residual_T)
        square += float(residual_T @ residual_T)
    return score_NP[is_seen_N], square


def _entries(piece, formula):
    """The regressors of each token that are not zero: a list of (place, value), each of all tokens."""
    one_T, first = np.ones(len(piece[formula.cluster])), 1
    entries = [(np.zeros(one_T.size, np.int64), one_T)]
    for name, labels in formula.factors.items():
        label_T = np.asarray(piece[name], np.int64)
        if label_T.size and not (label_T.min() >= 0 and label_T.max() < len(labels)):
            raise ConfigError(f"factor {name!r} holds a label outside 0 to {len(labels) - 1}; give every token one.")
        entries.append((first + label_T, one_T))
        first += len(labels)
    for n, name in enumerate(formula.numbers):
        entries.append((np.full(one_T.size, first + n), np.asarray(piece[name], np.float64)))
    return entries
