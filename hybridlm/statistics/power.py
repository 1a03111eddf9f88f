"""What a comparison could have seen: the gap found with the wanted power, and the text a smaller one would take."""

import numpy as np
from jaxtyping import Float, Real

from hybridlm.statistics.intervals import Intervals, t_quantile


def detectable(found: Intervals, error_C: Float[np.ndarray, "C"], *, power: float = 0.8) -> Float[np.ndarray, "C"]:
    """The minimum detectable effect of the test whose intervals these are; NaN where there is none."""
    return found.high_C - found.estimate_C + t_quantile(power, found.clusters_C) * error_C


def needed(
    count_C: Real[np.ndarray, "C"], detectable_C: Float[np.ndarray, "C"], effect: float
) -> Float[np.ndarray, "C"]:
    """Tokens (or bytes) of more clusters of the same make at which `effect` becomes the minimum detectable one."""
    return count_C * (detectable_C / effect) ** 2
