"""Could a paired gap be chance? If both models were alike, each cluster's difference could as well have the other sign.

p is the share of sign assignments whose |Σ ± d| reaches the observed one: all of them for few clusters, and otherwise
random ones with the observed counted in, (b + 1) / (n + 1), which is never zero (Phipson and Smyth 2010).
"""

import numpy as np
from jaxtyping import Float

EXACT = 15
"""Most clusters whose sign assignments are all looked at."""

_ROUNDING = 1e-12
"""Sums that differ by less than this part of Σ|d| count as equal."""

_CHUNK = 2**22
"""Signs held at a time."""


def p_values(difference_NC: Float[np.ndarray, "N C"], *, seed: int, permutations: int = 9999) -> Float[np.ndarray, "C"]:
    """Two-sided p of every category's total difference; 1 where fewer than two clusters differ at all.

    Pass totals of a gap, zero where a cluster lacks the category.
    """
    moved_C = (difference_NC != 0).sum(0)
    p_C, many_C = np.ones(moved_C.shape), moved_C > EXACT
    for c in np.flatnonzero((moved_C > 1) & ~many_C):
        column_N = difference_NC[:, c]
        p_C[c] = exact(column_N[column_N != 0])
    if many_C.any():
        p_C[many_C] = _drawn(difference_NC[:, many_C], seed, permutations)
    return p_C


def exact(difference_N: Float[np.ndarray, "N"]) -> float:
    """p by enumeration; the first sign stays, since turning all of them changes nothing."""
    others = difference_N.size - 1
    signs = 1 - 2 * (np.arange(2**others)[:, None] >> np.arange(others) & 1)
    sums = difference_N[0] + signs @ difference_N[1:]
    return float((np.abs(sums) >= _observed(difference_N)).mean())


def _observed(difference):
    return np.abs(difference.sum(0)) - _ROUNDING * np.abs(difference).sum(0)


def _drawn(difference_NC, seed, permutations):
    random, clusters = np.random.default_rng(seed), difference_NC.shape[0]
    total_C, observed_C = difference_NC.sum(0), _observed(difference_NC)
    reached_C, rows = np.ones(total_C.shape), max(1, _CHUNK // clusters)
    for done in range(0, permutations, rows):
        is_turned = random.integers(2, size=(min(rows, permutations - done), clusters), dtype=np.int8)
        turned = is_turned.astype(np.float64) @ difference_NC
        reached_C += (np.abs(total_C - 2 * turned) >= observed_C).sum(0)
    return reached_C / (permutations + 1)
