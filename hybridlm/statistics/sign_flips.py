"""One test behind all that a comparison says: if two models were alike, each cluster's gap could have the other sign.

The t of a gap (ratio of sums over its clustered standard error) is held against the t of flipped signs: every
assignment for few clusters, random ones otherwise, the observed among them, so that p is never zero (Phipson and Smyth
2010). This is exact for any tails, however heavy, if gaps are symmetric; it is the wild cluster bootstrap-t under the
null (Cameron, Gelbach and Miller 2008). Signs turn for all categories at once, so the smallest p that an assignment has
in any category says how far chance gets anywhere in a table (Westfall and Young 1993, min P; Winkler et al. 2014). By p
and not by t, since flips give a category that lies in one cluster mostly a far heavier tail: its t would set the bar.

t is held as T² = N t² / (N − 1 + t²) ≤ N, which is |Σ d| / √Σ d² for clusters of one size: it rises with t, and is
finite where all clusters agree.

Categories are looked at a few at a time, each time under the same flips, and of each only the furthest flips are kept:
R (1 − level) of R. For as many flips as `equivalence` asks for, that still makes 2 C² numbers: 16 MB for 1,000
categories, but 1.6 GB for 10,000. Time goes with C³, since flips are drawn again for each few: 1,000 categories of
1,217 clusters take 26 s of one core.
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
"""A T² so close to its bound, as a part of it, is the bound."""

_CHUNK = 2**21
"""Numbers held at a time."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flips:
    """What the flips say of every category; p ≤ 1 − level, counted in flips, exactly where |t| > critical.

    Attributes:
      p_C: two-sided, of a category alone; NaN below two clusters. p_all_C: that any category gets as far, so corrected
        for all of them.
      is_chance_C, is_chance_all_C: whether more flips get as far than the level lets; also where nothing was tested.
      is_least_C: no flip that was drawn got as far, so that both p are upper bounds; never where all assignments
        were looked at.
      critical_C, critical_all_C: what |t| must exceed, alone and among all; NaN where not even clusters that all agree
        would do, zero where no cluster has any gap.
    """

    p_C: Float[np.ndarray, "C"]
    p_all_C: Float[np.ndarray, "C"]
    is_chance_C: Bool[np.ndarray, "C"]
    is_chance_all_C: Bool[np.ndarray, "C"]
    is_least_C: Bool[np.ndarray, "C"]
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
    clusters_C, is_exact = clusters_with(count_NC), len(total_NC) <= EXACT
    assignments = 2 ** (len(total_NC) - 1) if is_exact else permutations + 1
    beyond = int(assignments * (1 - level) + 1e-9)
    ranks = _ranks(total_NC, count_NC, beyond + 1, assignments, seed)
    reached_all_C = np.searchsorted(ranks.fewest_R, ranks.reached_C, side="right")
    is_tested_C, has_gap_C = clusters_C > 1, ranks.furthest_KC[-1] > 0
    critical_C, critical_all_C = (
        np.where(is_tested_C & ~has_gap_C, 0, _as_t(_bar(ranks.furthest_KC, too_many), clusters_C))
        # among all the bar is no lower than alone: a rank that says so is of flips with one T
        for too_many in (beyond + 1, min(beyond + 1, ranks.fewest_R[beyond]))
    )
    return Flips(
        p_C=np.where(is_tested_C, ranks.reached_C / assignments, np.nan),
        p_all_C=np.where(is_tested_C, reached_all_C / assignments, np.nan),
        is_chance_C=ranks.reached_C > beyond,
        is_chance_all_C=reached_all_C > beyond,
        is_least_C=(ranks.reached_C == 1) & (not is_exact),
        critical_C=critical_C,
        critical_all_C=critical_all_C,
    )


@dataclasses.dataclass(frozen=True)
class _Ranks:
    """Where assignments stand in their categories.

    Attributes:
      reached_C: how many get as far as the observed one, itself among them: R times its p; all where it is not tested.
      furthest_KC: the largest T, ascending. fewest_R: of every assignment the fewest that get as far as it in any
        category, ascending.
    """

    reached_C: Int[np.ndarray, "C"]
    furthest_KC: Float[np.ndarray, "K C"]
    fewest_R: Int[np.ndarray, " R"]


def _ranks(total_NC, count_NC, kept: int, assignments: int, seed: int) -> _Ranks:
    (tested_D,), categories = np.nonzero(clusters_with(count_NC) > 1), total_NC.shape[1]
    reached_C, furthest_KC = np.full(categories, assignments), np.zeros((kept, categories))
    fewest_R, width = np.full(assignments, assignments), max(1, _CHUNK // assignments)
    for start in range(0, len(tested_D), width):
        some_D = tested_D[start : start + width]
        t_RD = squeezed(total_NC[:, some_D], count_NC[:, some_D], seed=seed, permutations=assignments - 1)
        for c, t_R in zip(some_D, t_RD.T):
            sorted_R = np.sort(t_R)
            reached_R = assignments - np.searchsorted(sorted_R, t_R)
            np.minimum(fewest_R, reached_R, out=fewest_R)
            reached_C[c], furthest_KC[:, c] = reached_R[0], sorted_R[-kept:]
    return _Ranks(reached_C, furthest_KC, np.sort(fewest_R))


def squeezed(
    total_NC: Real[np.ndarray, "N C"], count_NC: Real[np.ndarray, "N C"], *, seed: int, permutations: int
) -> Float[np.ndarray, "R C"]:
    """T of every category under every assignment of signs; the first is the observed one."""
    sums_NK = np.concatenate([total_NC, total_NC * count_NC], axis=1, dtype=np.float64)
    parts = (
        _squeezed(sums_NK.sum(0) - 2 * (turned_RN @ sums_NK), total_NC, count_NC)
        for turned_RN in _turned(len(sums_NK), seed, permutations)
    )
    return np.concatenate(list(parts))


def _squeezed(flipped_RK, total_NC, count_NC):
    """T from Σ ± x and Σ ± x c: residuals of x about the gap of the assignment are squared without being formed."""
    total_RC, cross_RC = np.split(flipped_RK, 2, axis=1)
    count_C, square_C, clusters_C = count_NC.sum(0, dtype=np.float64), (total_NC**2).sum(0), clusters_with(count_NC)
    gap_RC = ratio(total_RC, np.broadcast_to(count_C, total_RC.shape))
    residual_RC = square_C - 2 * gap_RC * cross_RC + gap_RC**2 * (count_NC.astype(np.float64) ** 2).sum(0)
    whole_RC = np.maximum(residual_RC, 0) + total_RC**2 / np.maximum(clusters_C, 1)
    is_some_RC = (clusters_C > 1) & (whole_RC > 0)
    squared_RC = np.divide(total_RC**2, whole_RC, out=np.zeros_like(whole_RC), where=is_some_RC)
    return np.sqrt(np.where(squared_RC > clusters_C * (1 - _CLOSE), clusters_C, squared_RC)).round(_DIGITS)


def _turned(clusters: int, seed: int, permutations: int) -> Iterator[Float[np.ndarray, "R N"]]:
    """Which signs turn, in pieces: at first none. The first cluster's need not, since turning all changes nothing."""
    if clusters <= EXACT:
        yield (np.arange(2 ** (clusters - 1))[:, None] >> np.arange(clusters)[::-1] & 1).astype(np.float64)
        return
    random = np.random.default_rng(seed)
    # four signs are drawn at a time, so whole fours make the flips of pieces those of the whole
    rows = max(4, _CHUNK // clusters // 4 * 4)
    yield np.zeros((1, clusters))
    for done in range(0, permutations, rows):
        yield random.integers(2, size=(min(rows, permutations - done), clusters), dtype=np.int8).astype(np.float64)


def _bar(furthest_KC, too_many):
    """The largest T that so many assignments reach; NaN if there is none beyond it."""
    return np.where(furthest_KC[-too_many] < furthest_KC[-1], furthest_KC[-too_many], np.nan)


def _as_t(bar_C, clusters_C):
    """The t that is squeezed to T; NaN where there is no T."""
    squared_C = np.square(bar_C)
    return np.sqrt((clusters_C - 1) * squared_C / (clusters_C - squared_C))
