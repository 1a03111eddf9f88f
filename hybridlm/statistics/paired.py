"""Two models on the same tokens, by category: how large is the gap, is it chance, and what could have been seen?

All is read off the paired sums of `sums.difference`, in nats per token or byte; positive means the model is better.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Real

from hybridlm.statistics.intervals import Intervals, percentiles
from hybridlm.statistics.linearised import clusters_with, ratio, standard_error
from hybridlm.statistics.multiplicity import benjamini_hochberg, holm
from hybridlm.statistics.power import detectable
from hybridlm.statistics.resampling import resample
from hybridlm.statistics.sign_flips import p_values
from hybridlm.statistics.sums import Sums


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """One row per category of the sums; NaN only where `gap.notes` says why, or where a total gap is zero (`share`).

    Attributes:
      gap: nats per unit. error_C: its clustered standard error. count_C: tokens or bytes.
      p_C: two-sided, by sign flips. holm_C, fdr_C: corrected over all categories here.
      detectable_C: the gap that would have been found with the power asked for.
      share: part of its family's total gap; a family's shares sum to 1.
      is_share_settled_C: whether draws agree on the sign of the family's total; if not, shares mean little.
    """

    categories: tuple[tuple[str, str], ...]
    data: str
    unit: str
    count_C: Real[np.ndarray, "C"]
    gap: Intervals
    error_C: Float[np.ndarray, "C"]
    p_C: Float[np.ndarray, "C"]
    holm_C: Float[np.ndarray, "C"]
    fdr_C: Float[np.ndarray, "C"]
    detectable_C: Float[np.ndarray, "C"]
    share: Intervals
    is_share_settled_C: Bool[np.ndarray, "C"]


def compare(
    gap: Sums,
    *,
    seed: int,
    draws: int = 2000,
    permutations: int = 9999,
    level: float = 0.95,
    power: float = 0.8,
) -> Comparison:
    """Reads a paired gap of all its categories at once."""
    clusters_C, count_C = clusters_with(gap.count_NC), gap.count_NC.sum(0)
    total_RC, count_RC = resample((gap.total_NC, gap.count_NC), seed=seed, draws=draws)
    total_C, whole_CC = gap.total_NC.sum(0), same_family(gap.categories)
    error_C = standard_error(gap.total_NC, gap.count_NC)
    p_C = np.where(clusters_C > 1, p_values(gap.total_NC, seed=seed, permutations=permutations), np.nan)
    return Comparison(
        categories=gap.categories,
        data=gap.data,
        unit=gap.unit,
        count_C=count_C,
        gap=percentiles(ratio(total_C, count_C), ratio(total_RC, count_RC), clusters_C, level),
        error_C=error_C,
        p_C=p_C,
        holm_C=holm(p_C),
        fdr_C=benjamini_hochberg(p_C),
        detectable_C=detectable(error_C, clusters_C, power=power, level=level),
        share=percentiles(_parts(total_C, whole_CC), _parts(total_RC, whole_CC), clusters_C, level),
        is_share_settled_C=(total_RC @ whole_CC * np.sign(total_C @ whole_CC) > 0).mean(0) >= (1 + level) / 2,
    )


def same_family(categories: tuple[tuple[str, str], ...]) -> Float[np.ndarray, "C C"]:
    """1 where two categories are labels of one family."""
    families = np.array([family for family, _ in categories])
    return (families[:, None] == families).astype(np.float64)


def _parts(total, whole_CC):
    """Every category's part of the total over its family."""
    whole = total @ whole_CC
    return np.divide(total, whole, out=np.full(total.shape, np.nan), where=whole != 0)
