"""Many categories, one table: p-values corrected so that the more is looked at, the more it takes to be found.

Holm bounds the chance of any false finding, Benjamini-Hochberg the expected share of false ones among the findings.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy import stats


def holm(p_C: Float[np.ndarray, "C"]) -> Float[np.ndarray, "C"]:
    """Holm's step-down correction, valid under any dependence; a NaN was never tested and stays out."""
    return _tested(p_C, _holm)


def benjamini_hochberg(p_C: Float[np.ndarray, "C"]) -> Float[np.ndarray, "C"]:
    """The false discovery rate at which each category would be found; a NaN was never tested and stays out."""
    return _tested(p_C, stats.false_discovery_control)


def _tested(p_C: np.ndarray, correct: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    is_tested_C = ~np.isnan(p_C)
    corrected_C = np.full(p_C.shape, np.nan)
    if is_tested_C.any():
        corrected_C[is_tested_C] = correct(p_C[is_tested_C])
    return corrected_C


def _holm(p_C: np.ndarray) -> np.ndarray:
    order_C = np.argsort(p_C, kind="stable")
    corrected_C = np.empty_like(p_C)
    corrected_C[order_C] = np.minimum(1, np.maximum.accumulate(p_C[order_C] * np.arange(p_C.size, 0, -1)))
    return corrected_C
