"""Is it the architecture? A claim beside placebos: pairs that differ in seed, training progress or size alone.

Any better model of the same make has gaps too, and with a shape of their own. The envelope says where the gap of one
more placebo pair would lie (Student's prediction interval); only a claim outside it can be about the architecture.
"""

import dataclasses
import enum

import numpy as np
from jaxtyping import Float
from scipy import stats

from hybridlm.config.errors import require
from hybridlm.statistics.intervals import Intervals, bootstrap, linearised
from hybridlm.statistics.linearised import clusters_with, ratio
from hybridlm.statistics.sums import Sums

MANY = 20
"""Placebo pairs from which on ranks alone can tell a claim at the usual level."""


class Place(enum.StrEnum):
    """Where a claim lies."""

    OUTSIDE = "outside"
    """Its whole interval is beyond what placebos do."""
    INSIDE = "inside"
    """Its estimate is what placebos do too."""
    UNDECIDED = "undecided"
    """Its estimate is beyond, its interval is not; or it has none."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Envelope:
    """Attributes:
    low_C, high_C: where one more placebo pair would lie; infinite where the pairs say nothing of their spread.
    gap_PC: gaps of the placebos, one row a pair. is_directed: whether one of a pair comes first (see `envelope`).
    level: probability that one more pair lies inside, category by category.
    """

    low_C: Float[np.ndarray, "C"]
    high_C: Float[np.ndarray, "C"]
    gap_PC: Float[np.ndarray, "P C"]
    is_directed: bool
    level: float

    @property
    def note(self) -> str:
        """What a reader has to know of so few pairs; empty where nothing."""
        pairs = len(self.gap_PC)
        return (
            "" if pairs >= MANY else f"only {pairs} placebo pair{'s' * (pairs > 1)}: the envelope assumes normal gaps"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Placed:
    """Attributes:
    places: of every category.
    p_C: by ranks, assuming nothing of the distribution: the share of pairs, the claim among them, as far out as it.
    lowest_p: what p cannot fall below with so few pairs.
    by_chance: how many categories one more placebo would have outside, on average.
    """

    places: tuple[Place, ...]
    p_C: Float[np.ndarray, "C"]
    lowest_p: float
    by_chance: float


def envelope(gap_PC: Float[np.ndarray, "P C"], *, is_directed: bool, level: float = 0.95) -> Envelope:
    """The prediction interval for one more pair.

    Directed pairs have a better half by their making (more training, more parameters): it lies around their mean. Of
    others (two seeds) the order is arbitrary: it lies around zero, and one pair is enough for a wide one.
    """
    pairs = len(gap_PC)
    require(pairs > 0, "an envelope needs at least one placebo pair; score a second seed, or two steps of one run.")
    if is_directed:
        centre_C, freedom = gap_PC.mean(0), pairs - 1
        spread_C = gap_PC.std(0, ddof=1) * np.sqrt(1 + 1 / pairs) if freedom else np.full(gap_PC.shape[1], np.inf)
    else:
        centre_C, freedom, spread_C = np.zeros(gap_PC.shape[1]), pairs, np.sqrt((gap_PC**2).mean(0))
    reach_C = spread_C * stats.t.ppf((1 + level) / 2, max(freedom, 1))
    return Envelope(
        low_C=centre_C - reach_C, high_C=centre_C + reach_C, gap_PC=gap_PC, is_directed=is_directed, level=level
    )


def place(claim: Intervals, around: Envelope) -> Placed:
    """Where the gaps of an architecture lie beside its placebos, all on one scale: gaps in nats, or profiles."""
    is_outside_C = (claim.low_C > around.high_C) | (claim.high_C < around.low_C)
    is_inside_C = (around.low_C <= claim.estimate_C) & (claim.estimate_C <= around.high_C)
    found_C = np.where(is_outside_C, Place.OUTSIDE, np.where(is_inside_C, Place.INSIDE, Place.UNDECIDED))
    pairs_PC = np.concatenate([around.gap_PC, claim.estimate_C[None]])
    far_PC = np.abs(pairs_PC - (pairs_PC.mean(0) if around.is_directed else 0))
    return Placed(
        places=tuple(map(Place, found_C.tolist())),
        p_C=np.where(np.isnan(claim.estimate_C), np.nan, (far_PC >= far_PC[-1] * (1 - 1e-12)).mean(0)),
        lowest_p=1 / len(pairs_PC),
        by_chance=float((1 - around.level) * np.isfinite(claim.estimate_C).sum()),
    )


def profile(gap: Sums, whole: Sums, *, seed: int, draws: int = 2000, level: float = 0.95) -> Intervals:
    """The shape of a gap: each category's mean gap over that of all tokens, the one column of `whole`.

    Shapes compare directed pairs whose overall gaps differ in size; raises where the overall gap may be zero.
    """
    overall = linearised(whole.total_NC, whole.count_NC, level=level)
    low, high = overall.low_C[0], overall.high_C[0]
    require(
        whole.data == gap.data and bool(low > 0 or high < 0),
        f"a profile divides by the overall gap of the same text, which here lies between {low:.4g} and {high:.4g} nats "
        "and may be zero; compare the gaps themselves, as between seeds, or score more text.",
    )
    return bootstrap(
        lambda total, count, all_total, all_count: ratio(total, count) / ratio(all_total, all_count),
        (gap.total_NC, gap.count_NC, whole.total_NC, whole.count_NC),
        clusters_with(gap.count_NC),
        seed=seed,
        draws=draws,
        level=level,
    )
