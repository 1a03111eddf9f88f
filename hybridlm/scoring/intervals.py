"""How far a mean over tokens can be trusted: a bootstrap over split groups, whose tokens are not independent.

A draw takes as many groups as there are, with replacement, and forms every ratio Σ totals / Σ counts anew; the interval
is a pair of percentiles of the draws (cluster bootstrap). Monte-Carlo error of estimated bounds is added in quadrature.
"""

import dataclasses
import warnings

import numpy as np
from jaxtyping import Bool, Float, Int, Real
from scipy import stats

FEW = 30
"""Below this many clusters a percentile interval is known to be too narrow."""

_CHUNK = 2**22
"""Resampled group numbers held at a time."""


@dataclasses.dataclass(frozen=True)
class Intervals:
    """Estimates [C] with the interval's ends, and how many groups had a token of each category."""

    mean_C: Float[np.ndarray, "C"]
    low_C: Float[np.ndarray, "C"]
    high_C: Float[np.ndarray, "C"]
    clusters_C: Int[np.ndarray, "C"]

    @property
    def has_few_clusters_C(self) -> Bool[np.ndarray, "C"]:
        """Where the interval itself should not be trusted."""
        return self.clusters_C < FEW


def means(
    total_NC: Real[np.ndarray, "N C"],
    count_NC: Real[np.ndarray, "N C"],
    *,
    seed: int,
    draws: int = 2000,
    level: float = 0.95,
    monte_carlo_error_C: Float[np.ndarray, "C"] | float = 0.0,
) -> Intervals:
    """Mean per token (or per byte, as counted) of every category, from the sums of each group; NaN without any token.

    `monte_carlo_error_C` is the standard error of the means that comes from sampling noise, not groups.
    """
    mean_C = _ratio(total_NC.sum(0), count_NC.sum(0))
    drawn = _ratio(*_resampled((total_NC, count_NC), seed, draws))
    return _intervals(mean_C, drawn, (count_NC > 0).sum(0), level, monte_carlo_error_C)


def differences(
    total_a_NC: Real[np.ndarray, "N C"],
    count_a_NC: Real[np.ndarray, "N C"],
    total_b_NC: Real[np.ndarray, "N C"],
    count_b_NC: Real[np.ndarray, "N C"],
    *,
    seed: int,
    draws: int = 2000,
    level: float = 0.95,
    monte_carlo_error_C: Float[np.ndarray, "C"] | float = 0.0,
) -> Intervals:
    """Mean of a minus mean of b, paired: both are drawn with the same groups, so what they share cancels."""
    mean_C = _ratio(total_a_NC.sum(0), count_a_NC.sum(0)) - _ratio(total_b_NC.sum(0), count_b_NC.sum(0))
    a, count_a, b, count_b = _resampled((total_a_NC, count_a_NC, total_b_NC, count_b_NC), seed, draws)
    clusters_C = ((count_a_NC > 0) & (count_b_NC > 0)).sum(0)
    return _intervals(mean_C, _ratio(a, count_a) - _ratio(b, count_b), clusters_C, level, monte_carlo_error_C)


def _resampled(columns, seed, draws):
    """Sums over groups of every column [N C], for each draw of N groups with replacement: one [draws C] a column."""
    random, groups = np.random.default_rng(seed), columns[0].shape[0]
    joined = np.concatenate(columns, axis=1, dtype=np.float64)
    rows = max(1, _CHUNK // groups)
    sums = [_draw(random, min(rows, draws - done), groups) @ joined for done in range(0, draws, rows)]
    return np.split(np.concatenate(sums), len(columns), axis=1)


def _draw(random, rows, groups):
    """How often each of the groups is drawn, [rows groups]."""
    picked = random.integers(groups, size=(rows, groups)) + groups * np.arange(rows)[:, None]
    return np.bincount(picked.ravel(), minlength=rows * groups).reshape(rows, groups).astype(np.float64)


def _ratio(total, count):
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def _intervals(mean_C, drawn, clusters_C, level, error_C):
    tail = (1 - level) / 2
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # a category that no group has stays NaN
        low_C, high_C = np.nanquantile(drawn, (tail, 1 - tail), axis=0)
    noise_C = stats.norm.ppf(1 - tail) * np.asarray(error_C)
    return Intervals(
        mean_C,
        mean_C - np.hypot(mean_C - low_C, noise_C),
        mean_C + np.hypot(high_C - mean_C, noise_C),
        clusters_C,
    )
