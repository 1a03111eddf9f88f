"""What a comparison could have seen: the gap found with the wanted power, and the text a smaller one would take."""

import numpy as np
from jaxtyping import Float, Int, Real

from hybridlm.statistics.intervals import t_quantile


def detectable(
    error_C: Float[np.ndarray, "C"], clusters_C: Int[np.ndarray, "C"], *, power: float = 0.8, level: float = 0.95
) -> Float[np.ndarray, "C"]:
    """The minimum detectable effect of a two-sided test at 1 − level, from a clustered standard error."""
    return (t_quantile((1 + level) / 2, clusters_C) + t_quantile(power, clusters_C)) * error_C


def needed(
    count_C: Real[np.ndarray, "C"], detectable_C: Float[np.ndarray, "C"], effect: float
) -> Float[np.ndarray, "C"]:
    """Tokens (or bytes) of more clusters of the same make at which `effect` becomes the minimum detectable one."""
    return count_C * (detectable_C / effect) ** 2
