"""Different, equivalent, or not known: verdicts on gaps against a margin, to be declared before they are seen.

One test (`sign_flips`) makes everything that is told of a gap, so p, interval and verdict cannot disagree: an interval
is the gap ± critical t × standard error, and leaves out zero exactly where p ≤ 1 − level, counted in flips. Among all
gaps of all models at once these are the band and `p_all_C`, from which verdicts are read (inside the margin: two
one-sided tests).
"""

import dataclasses
import enum
import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float

from hybridlm.config.errors import require
from hybridlm.statistics.intervals import Intervals
from hybridlm.statistics.linearised import clusters_with, ratio, standard_error
from hybridlm.statistics.sign_flips import Flips, flips
from hybridlm.statistics.sums import Sums


class Verdict(enum.StrEnum):
    """What the band says of a gap."""

    EQUIVALENT = "equivalent"
    """It is smaller than the margin, whether or not it is zero."""
    DIFFERS = "differs"
    """It is not zero, and was not shown to be smaller than the margin."""
    UNDECIDED = "undecided"
    """The text is too small to say either; `Why` says in what respect."""


class Why(enum.StrEnum):
    """Why a gap is undecided; the first that holds."""

    DECIDED = ""
    FEW_GROUPS = "few groups"
    """Even if all groups that have the category agreed, that would not be enough among so many categories."""
    MANY_CATEGORIES = "many categories"
    """Had only this one been asked for, it would be decided."""
    WIDE = "wide interval"
    """The groups disagree too much for a gap of this size."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judged:
    """What the test says of the gaps of one model, in nats per unit.

    Attributes:
      gap, p_C: every category as if it alone had been asked for. error_C: its clustered standard error.
      band, p_all_C: all categories of all models at once, which is what verdicts are read from.
      is_least_C: whether no flip that was drawn got as far: read both p as ≤. Never where all flips were looked at.
      verdicts, whys: all right at once with the probability asked for, the differences and the equivalences each.
    """

    gap: Intervals
    band: Intervals
    error_C: Float[np.ndarray, "C"]
    p_C: Float[np.ndarray, "C"]
    p_all_C: Float[np.ndarray, "C"]
    is_least_C: Bool[np.ndarray, "C"]
    verdicts: tuple[Verdict, ...]
    whys: tuple[Why, ...]


def equivalence(
    gaps: Mapping[str, Sums], margin: float, *, seed: int, permutations: int = 9999, level: float = 0.95
) -> dict[str, Judged]:
    """Verdicts on the gaps of any number of models or steps, all against one baseline on the same text.

    There are `permutations` flips, or `least_flips` where those are more.
    """
    require(
        margin > 0, f"a margin of equivalence is a positive number of nats declared beforehand, but it is {margin}."
    )
    hashes = {name: gap.data for name, gap in gaps.items()}
    require(
        len(set(hashes.values())) == 1,
        f"one correction over several comparisons needs them on the same text, but their data are {hashes}.",
    )
    total_NC, count_NC = (
        np.concatenate([getattr(gap, name) for gap in gaps.values()], axis=1) for name in ("total_NC", "count_NC")
    )
    require(
        len(total_NC) > 0,
        "the gaps have no cluster, so no token was compared and there is no sign to flip; give a text that all models "
        "scored, or a filter that lets some of it through.",
    )
    permutations = max(permutations, least_flips(int((clusters_with(count_NC) > 1).sum()), level))
    found = flips(total_NC, count_NC, seed=seed, permutations=permutations, level=level)
    ends = np.cumsum([len(gap.categories) for gap in gaps.values()])
    pieces = (slice(end - len(gap.categories), end) for gap, end in zip(gaps.values(), ends))
    return {name: _judge(gap, margin, _part(found, piece)) for (name, gap), piece in zip(gaps.items(), pieces)}


def least_flips(categories: int, level: float) -> int:
    """2 / (1 − level) for each category: 40 at 95 %.

    In every category some flip gets furthest, so p among many categories may be as small as about one in so many, half
    of what a finding needs, and no smaller unless the same flip gets furthest in several.
    """
    return math.ceil(round(2 / (1 - level), 6)) * categories


def _part(found: Flips, piece: slice) -> Flips:
    return Flips(**{field.name: getattr(found, field.name)[piece] for field in dataclasses.fields(found)})


def _judge(gap: Sums, margin: float, found: Flips) -> Judged:
    error_C = standard_error(gap.total_NC, gap.count_NC)
    alone = _around(gap, found.critical_C * error_C, found.is_chance_C)
    band = _around(gap, found.critical_all_C * error_C, found.is_chance_all_C)
    told = verdicts(band, margin)
    return Judged(
        gap=alone,
        band=band,
        error_C=error_C,
        p_C=found.p_C,
        p_all_C=found.p_all_C,
        is_least_C=found.is_least_C,
        verdicts=told,
        whys=tuple(map(_why, told, verdicts(alone, margin), np.isnan(band.low_C).tolist())),
    )


def _around(gap: Sums, reach_C: Float[np.ndarray, "C"], is_chance_C: Bool[np.ndarray, "C"]) -> Intervals:
    """The gaps with ends so far off, and zero outside exactly where flips say so."""
    gap_C = ratio(gap.total_NC.sum(0), gap.count_NC.sum(0))
    # rounding must not decide where the critical t is that of the gap itself, or nearly
    far_C = np.abs(gap_C)
    reach_C = np.where(is_chance_C, np.maximum(reach_C, far_C), np.minimum(reach_C, np.nextafter(far_C, 0)))
    return Intervals(gap_C, gap_C - reach_C, gap_C + reach_C, clusters_with(gap.count_NC))


def verdicts(band: Intervals, margin: float) -> tuple[Verdict, ...]:
    """Reads the ends of intervals; one that has none is undecided."""
    is_inside_C = (band.low_C > -margin) & (band.high_C < margin)
    is_apart_C = (band.low_C > 0) | (band.high_C < 0)
    found_C = np.where(is_inside_C, Verdict.EQUIVALENT, np.where(is_apart_C, Verdict.DIFFERS, Verdict.UNDECIDED))
    return tuple(map(Verdict, found_C.tolist()))


def _why(verdict: Verdict, alone: Verdict, has_no_band: bool) -> Why:
    """Why a verdict is what it is, from what it would have been alone."""
    if verdict != Verdict.UNDECIDED:
        return Why.DECIDED
    if has_no_band:
        return Why.FEW_GROUPS
    return Why.WIDE if alone == Verdict.UNDECIDED else Why.MANY_CATEGORIES
