"""What a thread block computes: tiles of 128 rows of one head, each with the list of blocks of columns that it walks.

Two warpgroups take 64 rows each, a third streams columns to them.
"""

import dataclasses
import math
from collections.abc import Callable

from jax import Array, lax
from jax.experimental import pallas as pl

WARPGROUPS = 2
WARPGROUP_ROWS = 64
BLOCK_ROWS = WARPGROUPS * WARPGROUP_ROWS
PART, COLUMNS = 64, (64, 128)
"""Columns that the gradients take at a time, and those a step may have."""
LOG2_E = math.log2(math.e)


@dataclasses.dataclass(frozen=True)
class Tiles:
    """How a kernel streams: columns at a time, how many such blocks are in shared memory at once, and whether one
    thread block per processor takes tile after tile, or each tile gets a thread block of its own."""

    columns: int
    stages: int
    is_persistent: bool = True

    def __post_init__(self) -> None:
        if self.columns not in COLUMNS or self.stages < 1:
            raise ValueError(
                f"tiles of {self.columns} columns, {self.stages} at once, cannot be: a block of 128 rows and a matrix "
                "unit want 64 or 128 columns, and a stream at least 1 stage. Take Tiles(64, 2)."
            )


@dataclasses.dataclass(frozen=True)
class Tile:
    """128 rows of a head, and the steps over the blocks of columns they see.

    Attributes:
      row: of the facts. index: which 128 rows. full: steps without a mask. total: all steps.
      columns: of a step. slot: the place of a step in shared memory. seen: of a step with a mask, bits of its
        sub-blocks (`BlockLists`).
    """

    batch: Array
    head: Array
    row: Array | int
    index: Array
    full: Array
    total: Array
    columns: Callable[[Array | int], pl.Slice]
    slot: Callable[[Array | int], Array]
    seen: Callable[[Array], Array]

    def rows(self, warpgroup: Array | int) -> pl.Slice:
        """The rows of a warpgroup."""
        return pl.ds(self.index * BLOCK_ROWS + warpgroup * WARPGROUP_ROWS, WARPGROUP_ROWS)


def parts(tiles: Tiles) -> list[pl.Slice]:
    """The columns of a step in parts, so that one is multiplied while exponentials of another are taken."""
    return [pl.ds(first, PART) for first in range(0, tiles.columns, PART)]


def when_seen(tiles: Tiles, seen: Array, warpgroup: Array, take: Callable[..., None]) -> None:
    """Takes the parts of a step in which the warpgroup's rows see something: both at once, or the one."""
    chosen = parts(tiles)
    first, second = (lax.shift_right_logical(seen, 2 * warpgroup + number) & 1 for number in range(2))
    cases = [(first & second, chosen), (first & ~second, chosen[:1]), (second & ~first, chosen[1:])]
    for times, some in cases if len(chosen) == 2 else [(first, chosen)]:
        # a loop of no or one turn is a condition on what changes accumulators
        lax.fori_loop(0, times, lambda _, __, some=some: take(*some), None)
