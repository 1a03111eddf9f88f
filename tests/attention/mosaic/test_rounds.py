"""Thread blocks that take tile after tile get every tile once, and about the same length of them."""

import numpy as np
import pytest

from hybridlm.attention.mosaic.rounds import NONE, rounds

PROCESSORS = 132
PROFILES = {
    "all alike": lambda share: np.full_like(share, 16.0),
    "falling to nothing": lambda share: 32 * (1 - share),
    "falling from some rank on": lambda share: 9 * np.minimum(1, 4 * (1 - share)),
    "half of them one": lambda share: np.maximum(1, 32 * (1 - 2 * share)),
    "few are long": lambda share: np.maximum(1, 24 * (1 - 8 * share)),
    "in steps": lambda share: 8.0 - np.floor(5 * share),
}
SIZES = [(4096, 16, 16), (4096, 32, 16), (4096, 64, 8), (4096, 256, 2), (1000, 10, 4), (200, 25, 8), (40, 10, 4)]


@pytest.mark.parametrize(("count", "rows", "together"), SIZES)
def test_every_tile_is_taken_once_and_in_its_round(count, rows, together):
    table = rounds(count, rows, together, PROCESSORS)
    taken = table[table != NONE]
    assert sorted(taken) == list(range(count))
    number, processor = np.nonzero(table != NONE)
    assert np.array_equal(table[number, processor] // PROCESSORS, number)
    assert np.all(table[:-1] != NONE)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("count", "rows", "together"), SIZES[:4])
def test_nobody_gets_long_tiles_alone(profile, count, rows, together):
    """The longest share is near the mean, the last incomplete round aside; it matters where most tiles are short."""
    length = PROFILES[profile]((np.arange(count) // together % rows) / rows)
    table = rounds(count, rows, together, PROCESSORS)[: count // PROCESSORS]
    sums = length[table].sum(axis=0)
    assert sums.max() < (1.16 if profile == "few are long" else 1.06) * sums.mean()
