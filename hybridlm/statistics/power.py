"""What a comparison could have seen: the gap that would have been found with the wanted power."""

import numpy as np
from jaxtyping import Float

from hybridlm.statistics.intervals import Intervals, t_quantile


def detectable(found: Intervals, error_C: Float[np.ndarray, "C"], *, power: float = 0.8) -> Float[np.ndarray, "C"]:
    """The minimum detectable effect of the test whose intervals these are; NaN where there is none."""
    return found.high_C - found.estimate_C + t_quantile(power, found.clusters_C) * error_C
