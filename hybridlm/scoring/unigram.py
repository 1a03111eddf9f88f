"""The unigram model: what every token costs if nothing but its frequency is known.

Negated, it is the bias a head should start from; as it is, it is the baseline a model must beat.
"""

import numpy as np
from jaxtyping import Float, Int


def unigram_nll(counts_V: Int[np.ndarray, "V"], ids: Int[np.ndarray, "..."] | None = None) -> Float[np.ndarray, "V"]:
    """-log((count + 1) / Σ (count + 1)) in nats over the predictable `ids`, None being all; inf at every other id."""
    is_predictable_V = np.ones(counts_V.size, bool) if ids is None else np.isin(np.arange(counts_V.size), ids)
    smoothed_V = np.where(is_predictable_V, counts_V + 1.0, 0.0)
    with np.errstate(divide="ignore"):
        return np.log(smoothed_V.sum()) - np.log(smoothed_V)


def log_unigram(counts_V: Int[np.ndarray, "V"], ids: Int[np.ndarray, "..."] | None = None) -> Float[np.ndarray, "V"]:
    """Log-unigram start of a head's bias, float32; ids that are never predicted get the lowest of the others."""
    nll_V = unigram_nll(counts_V, ids)
    return -np.where(np.isfinite(nll_V), nll_V, nll_V[np.isfinite(nll_V)].max()).astype(np.float32)
