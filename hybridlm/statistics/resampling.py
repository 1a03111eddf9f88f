"""Draws of the cluster bootstrap: as many clusters as there are, with replacement, all sums in one matrix product."""

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Real

_CHUNK = 2**22
"""Resampled cluster numbers held at a time."""


def resample(
    sums: Sequence[Real[np.ndarray, "N _"]], *, seed: int, draws: int
) -> tuple[Float[np.ndarray, "{draws} _"], ...]:
    """Sums over the drawn clusters of every array [N C], as one [R C] each; all arrays see the same clusters."""
    joined = np.concatenate(sums, axis=1, dtype=np.float64)
    drawn = [times_RN @ joined for times_RN in _drawn(seed, draws, len(joined))]
    ends = np.cumsum([array.shape[1] for array in sums])[:-1]
    return tuple(np.split(np.concatenate(drawn), ends, axis=1))


def _drawn(seed, draws, clusters):
    """All draws in pieces [R N]."""
    if draws * clusters <= _CHUNK:
        return [_few(seed, draws, clusters)]
    random, rows = np.random.default_rng(seed), max(1, _CHUNK // clusters)
    return (_draw(random, min(rows, draws - done), clusters) for done in range(0, draws, rows))


@functools.lru_cache(maxsize=1)
def _few(seed, draws, clusters):
    """Kept, since all columns of a report see the same draws."""
    return _draw(np.random.default_rng(seed), draws, clusters)


def _draw(random, rows, clusters):
    """How often each cluster is drawn, [rows clusters]."""
    picked = random.integers(clusters, size=(rows, clusters)) + clusters * np.arange(rows)[:, None]
    return np.bincount(picked.ravel(), minlength=rows * clusters).reshape(rows, clusters).astype(np.float64)
