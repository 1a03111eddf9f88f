"""Draws of the cluster bootstrap: as many clusters as there are, with replacement, all sums in one matrix product."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Real

_CHUNK = 2**22
"""Resampled cluster numbers held at a time."""


def resample(
    sums: Sequence[Real[np.ndarray, "N _"]], *, seed: int, draws: int
) -> tuple[Float[np.ndarray, "{draws} _"], ...]:
    """Sums over the drawn clusters of every array [N C], as one [R C] each; all arrays see the same clusters."""
    random, clusters = np.random.default_rng(seed), sums[0].shape[0]
    joined = np.concatenate(sums, axis=1, dtype=np.float64)
    rows = max(1, _CHUNK // clusters)
    drawn = [_draw(random, min(rows, draws - done), clusters) @ joined for done in range(0, draws, rows)]
    ends = np.cumsum([array.shape[1] for array in sums])[:-1]
    return tuple(np.split(np.concatenate(drawn), ends, axis=1))


def _draw(random, rows, clusters):
    """How often each cluster is drawn, [rows clusters]."""
    picked = random.integers(clusters, size=(rows, clusters)) + clusters * np.arange(rows)[:, None]
    return np.bincount(picked.ravel(), minlength=rows * clusters).reshape(rows, clusters).astype(np.float64)
