"""One test behind all that a comparison says: if two models were alike, each cluster's gap could have the other sign.

The t of a gap (ratio of sums over its clustered standard error) is held against the t of flipped signs: every
assignment for few clusters, random ones otherwise, the observed among them, so that p is never zero (Phipson and Smyth
2010). This is exact for any tails, however heavy, if gaps are symmetric; it is the wild cluster bootstrap-t under the
null (Cameron, Gelbach and Miller 2008). Signs turn for all categories at once, so the smallest p that an assignment has
in any category says how far chance gets anywhere in a table (Westfall and Young 1993, min P; Winkler et al. 2014). By p
and not by t, since flips give a category that lies in one cluster mostly a far heavier tail: its t would set the bar.

t is held as T² = N t² / (N − 1 + t²) ≤ N, which is |Σ d| / √Σ d² for clusters of one size: it rises with t, and is
finite where all clusters agree.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from hybridlm.statistics.linearised import clusters_with, ratio

EXACT = 15
"""Most clusters whose sign assignments are all looked at."""

_DIGITS = 9
"""Decimals of T in which assignments count as equal."""

_CLOSE = 1e-8
"""A T² so close to its bound is the bound."""

_CHUNK = 2**22
"""Numbers held at a time."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flips:
    """What the flips say of every category; p ≤ 1 − level exactly where |t| > critical.

    Attributes:
      p_C: two-sided, of a category alone; NaN below two clusters. p_all_C: that any category gets as far, so corrected
        for all of them.
      is_least_C, is_least_all_C: no other assignment got further: p is as small as clusters and flips let it be.
      critical_C, critical_all_C: what |t| must exceed, alone and among all; NaN where not even clusters that all agree
        would do, zero where no cluster has any gap.
    """

    p_C: Float[np.ndarray, "C"]
    p_all_C: Float[np.ndarray, "C"]
    is_least_C: Bool[np.ndarray, "C"]
    is_least_all_C: Bool[np.ndarray, "C"]
    critical_C: Float[np.ndarray, "C"]
    critical_all_C: Float[np.ndarray, "C"]


def flips(
    total_NC: Real[np.ndarray, "N C"],
    count_NC: Real[np.ndarray, "N C"],
    *,
    seed: int,
    permutations: int = 9999,
    level: float = 0.95,
) -> Flips:
    """Tests the ratios of total gaps to counts against zero."""
    t_RC, clusters_C = squeezed(total_NC, count_NC, seed=seed, permutations=permutations), clusters_with(count_NC)
    sorted_RC, reached_RC = np.sort(t_RC, axis=0), reached(t_RC)
    is_tested_C, has_gap_C = clusters_C > 1, t_RC.any(0)
    fewest_R, beyond = np.sort(reached_RC.min(1)), int(len(t_RC) * (1 - level) + 1e-9)
    p_all_C = np.searchsorted(fewest_R, reached_RC[0], side="right") / len(t_RC)
    critical_C, critical_all_C = (
        np.where(is_tested_C & ~has_gap_C, 0, _as_t(_beyond(sorted_RC, too_many), clusters_C))
        for too_many in (beyond + 1, fewest_R[beyond])
    )
    return Flips(
        p_C=np.where(is_tested_C, reached_RC[0] / len(t_RC), np.nan),
        p_all_C=np.where(is_tested_C, p_all_C, np.nan),
        is_least_C=has_gap_C & (t_RC[0] == sorted_RC[-1]),
        is_least_all_C=has_gap_C & (reached_RC[0] == fewest_R[0]),
        critical_C=critical_C,
        critical_all_C=critical_all_C,
    )


def reached(t_RC: Float[np.ndarray, "R C"]) -> Int[np.ndarray, "R C"]:
    """How many assignments get as far as each, itself among them: R times its p."""
    columns = (len(t_R) - np.searchsorted(np.sort(t_R), t_R) for t_R in t_RC.T)
    return np.stack(list(columns), axis=1)


def squeezed(
    total_NC: Real[np.ndarray, "N C"], count_NC: Real[np.ndarray, "N C"], *, seed: int, permutations: int
) -> Float[np.ndarray, "R C"]:
    """T of every category under every assignment of signs; the first is the observed one."""
    sums_NK = np.concatenate([total_NC, total_NC * count_NC], axis=1, dtype=np.float64)
    rows = max(1, _CHUNK // max(sums_NK.shape))
    parts = (
        _squeezed(sums_NK.sum(0) - 2 * (turned_RN @ sums_NK), total_NC, count_NC)
        for turned_RN in _turned(len(sums_NK), seed, permutations, rows)
    )
    return np.concatenate(list(parts))


def _squeezed(flipped_RK, total_NC, count_NC):
    """T from Σ ± x and Σ ± x c: residuals of x about the gap of the assignment are squared without being formed."""
    total_RC, cross_RC = np.split(flipped_RK, 2, axis=1)
    count_C, square_C = count_NC.sum(0, dtype=np.float64), (total_NC**2).sum(0)
    gap_RC = ratio(total_RC, np.broadcast_to(count_C, total_RC.shape))
    residual_RC = square_C - 2 * gap_RC * cross_RC + gap_RC**2 * (count_NC.astype(np.float64) ** 2).sum(0)
    whole_RC = np.maximum(residual_RC, 0) + total_RC**2 / np.maximum(clusters_with(count_NC), 1)
    is_some_RC = (clusters_with(count_NC) > 1) & (whole_RC > 0)
    return np.sqrt(np.divide(total_RC**2, whole_RC, out=np.zeros_like(whole_RC), where=is_some_RC)).round(_DIGITS)


def _turned(clusters: int, seed: int, permutations: int, rows: int) -> Iterator[Float[np.ndarray, "R N"]]:
    """Which signs turn, in pieces: at first none. The first cluster's need not, since turning all changes nothing."""
    if clusters <= EXACT:
        yield (np.arange(2 ** (clusters - 1))[:, None] >> np.arange(clusters)[::-1] & 1).astype(np.float64)
        return
    random = np.random.default_rng(seed)
    yield np.zeros((1, clusters))
    for done in range(0, permutations, rows):
        yield random.integers(2, size=(min(rows, permutations - done), clusters), dtype=np.int8).astype(np.float64)


def _beyond(sorted_RC, too_many):
    """The largest T that so many assignments reach; NaN if there is none beyond it."""
    bar_C = sorted_RC[-too_many]
    return np.where(bar_C < sorted_RC[-1], bar_C, np.nan)


def _as_t(bar_C, clusters_C):
    """The t that is squeezed to T; NaN where no t of so many clusters is."""
    squared_C, free_C = np.square(bar_C), np.maximum(clusters_C - 1, 0)
    has_t_C = squared_C < clusters_C - _CLOSE
    none_C = np.full(clusters_C.shape, np.nan)
    return np.sqrt(np.divide(free_C * squared_C, clusters_C - squared_C, out=none_C, where=has_t_C))
