"""Which categories carry a gap? Their parts of the total gap of their family, with a bootstrap over clusters."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from hybridlm.statistics.intervals import Intervals, percentiles
from hybridlm.statistics.linearised import clusters_with
from hybridlm.statistics.resampling import resample
from hybridlm.statistics.sums import Sums


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shares:
    """How much of its family's gap each category carries, as a part of 1.

    Attributes:
      part: a family's parts sum to 1, some perhaps negative, and are NaN where its total gap is zero.
      is_settled_C: whether draws agree on the sign of the family's total; if not, parts mean little.
    """

    part: Intervals
    is_settled_C: Bool[np.ndarray, "C"]


def shares(gap: Sums, *, seed: int, draws: int = 2000, level: float = 0.95) -> Shares:
    """The parts of a paired gap, as `sums.difference` gives it."""
    (total_RC,) = resample((gap.total_NC,), seed=seed, draws=draws)
    total_C, whole_CC = gap.total_NC.sum(0), same_family(gap.categories)
    parts = _parts(total_C, whole_CC), _parts(total_RC, whole_CC)
    return Shares(
        part=percentiles(*parts, clusters_with(gap.count_NC), level),
        is_settled_C=(total_RC @ whole_CC * np.sign(total_C @ whole_CC) > 0).mean(0) >= (1 + level) / 2,
    )


def same_family(categories: tuple[tuple[str, str], ...]) -> Float[np.ndarray, "C C"]:
    """1 where two categories are labels of one family."""
    families = np.array([family for family, _ in categories])
    return (families[:, None] == families).astype(np.float64)


def _parts(total, whole_CC):
    """Every category's part of the total over its family."""
    whole = total @ whole_CC
    return np.divide(total, whole, out=np.full(total.shape, np.nan), where=whole != 0)
