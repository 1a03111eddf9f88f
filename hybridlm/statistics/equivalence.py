"""Different, equivalent, or not known: verdicts on gaps against a margin that was declared before they were seen.

One simultaneous band covers all gaps of all checkpoints: its reach is a quantile of max |t| over bootstrap draws, so
the more the gaps move together, the narrower it is. A verdict reads where the band lies (two one-sided tests, TOST).
"""

import dataclasses
import enum
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from hybridlm.config.errors import require
from hybridlm.statistics.intervals import Intervals
from hybridlm.statistics.linearised import clusters_with, influence, ratio, standard_error
from hybridlm.statistics.resampling import resample
from hybridlm.statistics.sums import Sums


class Verdict(enum.StrEnum):
    """What a band says of a gap."""

    EQUIVALENT = "equivalent"
    """It is smaller than the margin, whether or not it is zero."""
    DIFFERS = "differs"
    """It is not zero, and was not shown to be smaller than the margin."""
    UNDECIDED = "undecided"
    """The text is too small to say either."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Equivalence:
    """Attributes:
    band: the gaps in nats per unit, with ends that hold for all checkpoints and categories at once.
    p_C: of one TOST against the margin, uncorrected. margin: as declared, nats per unit.
    verdicts: all of them right at once with the probability asked for.
    """

    band: Intervals
    p_C: Float[np.ndarray, "C"]
    margin: float
    verdicts: tuple[Verdict, ...]


def equivalence(
    gaps: Mapping[str, Sums], margin: float, *, seed: int, draws: int = 2000, level: float = 0.95
) -> dict[str, Equivalence]:
    """Verdicts on the gaps of any number of checkpoints or steps, all against one baseline on the same text."""
    require(
        margin > 0, f"a margin of equivalence is a positive number of nats declared beforehand, but it is {margin}."
    )
    hashes = {name: gap.data for name, gap in gaps.items()}
    require(
        len(set(hashes.values())) == 1,
        f"one correction over several comparisons needs them on the same text, but their data are {hashes}.",
    )
    pulls = [influence(gap.total_NC, gap.count_NC) for gap in gaps.values()]
    reach = critical(np.concatenate(pulls, axis=1), seed=seed, draws=draws, level=level)
    return {name: _judge(gap, margin, reach) for name, gap in gaps.items()}


def _judge(gap: Sums, margin: float, reach: float) -> Equivalence:
    gap_C, clusters_C = ratio(gap.total_NC.sum(0), gap.count_NC.sum(0)), clusters_with(gap.count_NC)
    error_C = standard_error(gap.total_NC, gap.count_NC)
    reach_C = as_t(reach, clusters_C) * error_C
    band = Intervals(gap_C, gap_C - reach_C, gap_C + reach_C, clusters_C)
    return Equivalence(
        band=band, p_C=tost(gap_C, error_C, clusters_C, margin), margin=margin, verdicts=verdicts(band, margin)
    )


def critical(influence_NC: Float[np.ndarray, "N C"], *, seed: int, draws: int, level: float) -> float:
    """The quantile of max |t| over categories, as a normal deviate; those below two clusters are left out."""
    scale_C = np.sqrt((influence_NC**2).sum(0))
    moves_NC = influence_NC[:, scale_C > 0] / scale_C[scale_C > 0]
    if not moves_NC.shape[1]:
        return float(stats.norm.ppf((1 + level) / 2))
    (drawn_RC,) = resample((moves_NC,), seed=seed, draws=draws)
    return float(np.quantile(np.abs(drawn_RC).max(1), level))


def as_t(deviate: float, clusters_C: Int[np.ndarray, "C"]) -> Float[np.ndarray, "C"]:
    """The t deviate with the tail of a normal one; NaN below two clusters."""
    return stats.t.isf(stats.norm.sf(deviate), np.where(clusters_C > 1, clusters_C - 1, np.nan))


def tost(
    gap_C: Float[np.ndarray, "C"], error_C: Float[np.ndarray, "C"], clusters_C: Int[np.ndarray, "C"], margin: float
) -> Float[np.ndarray, "C"]:
    """p that a gap as large as the margin looks as small as this one: the larger of two one-sided t-tests."""
    inside_C, freedom_C = margin - np.abs(gap_C), np.where(clusters_C > 1, clusters_C - 1, np.nan)
    t_C = np.divide(inside_C, error_C, out=np.copysign(np.inf, inside_C), where=error_C != 0)
    return stats.t.sf(t_C, freedom_C)


def verdicts(band: Intervals, margin: float) -> tuple[Verdict, ...]:
    """Reads the ends of intervals; one that has none is undecided."""
    is_inside_C = (band.low_C > -margin) & (band.high_C < margin)
    is_apart_C = (band.low_C > 0) | (band.high_C < 0)
    found_C = np.where(is_inside_C, Verdict.EQUIVALENT, np.where(is_apart_C, Verdict.DIFFERS, Verdict.UNDECIDED))
    return tuple(map(Verdict, found_C.tolist()))
