"""The error of a ratio of sums without draws: each cluster's influence on the ratio, to first order.

r = Σx / Σc has influence (x_n − r c_n) / Σc at cluster n; squares of influences add up to its variance (Taylor
linearisation, with the n / (n − 1) of few clusters).
"""

import numpy as np
from jaxtyping import Float, Int, Real


def ratio(total: Real[np.ndarray, "..."], count: Real[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Σ totals / Σ counts, NaN where nothing was counted."""
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=np.asarray(count) > 0)


def clusters_with(count_NC: Real[np.ndarray, "N C"]) -> Int[np.ndarray, "C"]:
    """In how many clusters each category occurs."""
    return (count_NC > 0).sum(0)


def influence(total_NC: Real[np.ndarray, "N C"], count_NC: Real[np.ndarray, "N C"]) -> Float[np.ndarray, "N C"]:
    """Influences whose products over clusters are the covariances of the ratios; NaN below two clusters."""
    count_C, clusters_C = count_NC.sum(0), clusters_with(count_NC)
    mean_C = ratio(total_NC.sum(0), count_C)
    small_C = np.sqrt(ratio(clusters_C, clusters_C - 1))
    return (total_NC - mean_C * count_NC) * ratio(small_C, count_C)


def standard_error(total_NC: Real[np.ndarray, "N C"], count_NC: Real[np.ndarray, "N C"]) -> Float[np.ndarray, "C"]:
    """Standard error of Σ totals / Σ counts, clusters being independent; NaN below two clusters."""
    return np.sqrt((influence(total_NC, count_NC) ** 2).sum(0))
