"""Many categories, one table: the false discovery rate, the expected share of false findings among the findings.

The chance of any false finding at all is bounded by `sign_flips`, which sees how the categories go together.
"""

import numpy as np
from jaxtyping import Float
from scipy import stats


def benjamini_hochberg(p_C: Float[np.ndarray, "C"]) -> Float[np.ndarray, "C"]:
    """The false discovery rate at which each category would be found; a NaN was never tested and stays out."""
    is_tested_C = ~np.isnan(p_C)
    corrected_C = np.full(p_C.shape, np.nan)
    corrected_C[is_tested_C] = stats.false_discovery_control(p_C[is_tested_C]) if is_tested_C.any() else ()
    return corrected_C
