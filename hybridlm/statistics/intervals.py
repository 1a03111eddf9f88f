"""How far a ratio of sums over tokens can be trusted: percentiles of a bootstrap over clusters.

The tails are those whose normal quantile is √(n/(n−1)) times the t quantile of n clusters (Hesterberg 2015): plain
percentiles are too narrow for few clusters. BCa intervals were worse on few clusters, and not clearly better on many.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int, Real
from scipy import special, stats

from hybridlm.statistics.linearised import clusters_with, ratio, standard_error
from hybridlm.statistics.resampling import resample

FEW = 30
"""Below this many clusters an interval of skewed data is known to be too narrow."""


@dataclasses.dataclass(frozen=True)
class Intervals:
    """Estimates [C] with the interval's ends, and how many clusters had a token of each category.

    An estimate is NaN where nothing was counted, its ends also where one cluster was; `notes` says so.
    """

    estimate_C: Float[np.ndarray, "C"]
    low_C: Float[np.ndarray, "C"]
    high_C: Float[np.ndarray, "C"]
    clusters_C: Int[np.ndarray, "C"]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a table has to say beside each estimate; empty where nothing."""
        return tuple(map(note, self.clusters_C.tolist()))


def note(clusters: int) -> str:
    """What so many clusters mean for an interval, in words."""
    known = {0: "no tokens", 1: "one cluster: no interval"}
    return known.get(clusters, "" if clusters >= FEW else f"{clusters} clusters: interval may be too narrow")


def bootstrap(
    statistic: Callable[..., np.ndarray],
    sums: Sequence[Real[np.ndarray, "N _"]],
    clusters_C: Int[np.ndarray, "C"],
    *,
    seed: int,
    draws: int = 2000,
    level: float = 0.95,
) -> Intervals:
    """Intervals of any function of sums: `statistic` maps arrays [... C], one for each of `sums`, to [... C]."""
    estimate_C = statistic(*(array.sum(0) for array in sums))
    return percentiles(estimate_C, statistic(*resample(sums, seed=seed, draws=draws)), clusters_C, level)


def means(
    total_NC: Real[np.ndarray, "N C"],
    count_NC: Real[np.ndarray, "N C"],
    *,
    seed: int,
    draws: int = 2000,
    level: float = 0.95,
    monte_carlo_error_C: Float[np.ndarray, "C"] | float = 0.0,
) -> Intervals:
    """Mean per token (or per byte, as counted) of every category.

    `monte_carlo_error_C` is the standard error of the means that comes from sampling noise, not clusters.
    """
    found = bootstrap(ratio, (total_NC, count_NC), clusters_with(count_NC), seed=seed, draws=draws, level=level)
    return widened(found, monte_carlo_error_C, level)


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
    """Mean of a minus mean of b, paired: both are drawn with the same clusters, so what they share cancels."""
    found = bootstrap(
        lambda a, count_a, b, count_b: ratio(a, count_a) - ratio(b, count_b),
        (total_a_NC, count_a_NC, total_b_NC, count_b_NC),
        ((count_a_NC > 0) & (count_b_NC > 0)).sum(0),
        seed=seed,
        draws=draws,
        level=level,
    )
    return widened(found, monte_carlo_error_C, level)


def linearised(
    total_NC: Real[np.ndarray, "N C"], count_NC: Real[np.ndarray, "N C"], *, level: float = 0.95
) -> Intervals:
    """The means with their analytic interval: ± the t quantile times the clustered standard error; no draws."""
    mean_C, clusters_C = ratio(total_NC.sum(0), count_NC.sum(0)), clusters_with(count_NC)
    reach_C = t_quantile((1 + level) / 2, clusters_C) * standard_error(total_NC, count_NC)
    return Intervals(mean_C, mean_C - reach_C, mean_C + reach_C, clusters_C)


def of_shares(
    total_NC: Real[np.ndarray, "N C"], count_NC: Real[np.ndarray, "N C"], *, level: float = 0.95
) -> Intervals:
    """The same of numbers between 0 and 1, on the scale of log odds: no end leaves the range, and none is cut off."""
    found = linearised(total_NC, count_NC, level=level)
    share_C, reach_C = found.estimate_C, found.high_C - found.estimate_C
    slope_C = share_C * (1 - share_C)
    is_between_C = slope_C > 0  # at either end every token is alike, and the plain interval has no width
    odds_C = special.logit(np.where(is_between_C, share_C, 0.5))
    move_C = np.divide(reach_C, slope_C, out=np.zeros_like(reach_C), where=is_between_C)
    ends = (np.where(is_between_C, special.expit(odds_C + side * move_C), share_C + side * reach_C) for side in (-1, 1))
    return Intervals(share_C, *ends, found.clusters_C)


def percentiles(
    estimate_C: Float[np.ndarray, "C"],
    drawn_RC: Float[np.ndarray, "R C"],
    clusters_C: Int[np.ndarray, "C"],
    level: float = 0.95,
) -> Intervals:
    """The interval between two percentiles of the draws; draws that miss a category are left out."""
    tail_C = tails(clusters_C, level)
    ends = [_percentiles(drawn_R, tail) for drawn_R, tail in zip(drawn_RC.T, tail_C.tolist())]
    low_C, high_C = np.array(ends).reshape(-1, 2).T
    return Intervals(estimate_C, low_C, high_C, clusters_C)


def _percentiles(drawn_R, tail):
    drawn_R = drawn_R[np.isfinite(drawn_R)]
    return np.quantile(drawn_R, (tail, 1 - tail)) if drawn_R.size and np.isfinite(tail) else (np.nan, np.nan)


def tails(clusters_C: Int[np.ndarray, "C"], level: float) -> Float[np.ndarray, "C"]:
    """The share of draws beyond each end of an interval; NaN below two clusters."""
    small_C = np.sqrt(ratio(clusters_C, clusters_C - 1))
    return stats.norm.sf(small_C * t_quantile((1 + level) / 2, clusters_C))


def t_quantile(probability: float, clusters_C: Int[np.ndarray, "C"]) -> Float[np.ndarray, "C"]:
    """Student's quantile with one degree of freedom less than clusters; NaN below two clusters."""
    return stats.t.ppf(probability, np.where(clusters_C > 1, clusters_C - 1, np.nan))


def widened(found: Intervals, error_C: Float[np.ndarray, "C"] | float, level: float) -> Intervals:
    """The intervals with an independent standard error added in quadrature."""
    noise_C = stats.norm.ppf((1 + level) / 2) * np.asarray(error_C)
    low_C = found.estimate_C - np.hypot(found.estimate_C - found.low_C, noise_C)
    high_C = found.estimate_C + np.hypot(found.high_C - found.estimate_C, noise_C)
    return dataclasses.replace(found, low_C=low_C, high_C=high_C)
