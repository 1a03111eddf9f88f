"""Which tile each thread block takes in which round, so that all end at about the same time under most masks.

No thread block can fetch its next tile from a common counter, for Pallas has no atomic that returns what it found, and
the lengths of tiles are known on the device alone. But within a row of the batch tiles come from the longest to the
shortest. So thread blocks get nearly the same share of every rank, and with it of lengths that fall from rank to rank.
"""

import functools

import numpy as np
from scipy.optimize import linear_sum_assignment

NONE = -1
"""In the last round, for a thread block without a tile."""

_PROFILES = 8
"""Profiles under which sums are to be equal: beside one tile one unit, hinges that end at every eighth of the ranks."""


@functools.lru_cache(maxsize=64)
def rounds(count: int, rows: int, together: int, blocks: int) -> np.ndarray:
    """Numbers of tiles [round, thread block]; a round takes the next `blocks` of them.

    count: how many tiles. rows: how many ranks, each held by `together` tiles side by side, over and over.
    """
    rank = (np.arange(count) // together) % rows
    units = _units(rank / rows)
    sums = np.zeros((blocks, units.shape[1]))
    table = np.full((-(-count // blocks), blocks), NONE, np.int32)
    for round, first in enumerate(range(0, count, blocks)):
        new = units[first : first + blocks]
        # what the sum of squares grows by, less what is the same for every thread block
        chosen, tile = linear_sum_assignment(sums @ new.T)
        table[round, chosen] = first + tile
        sums[chosen] += new[tile]
    return table


def _units(share: np.ndarray) -> np.ndarray:
    """The length of each tile under every profile, 1 on average; share: of the ranks that come before it."""
    ends = np.arange(1, _PROFILES + 1) / _PROFILES
    hinges = np.maximum(1 - share[:, None] / ends, 0)
    units = np.concatenate([np.ones((len(share), 1)), hinges], axis=1)
    return units / units.mean(axis=0)
