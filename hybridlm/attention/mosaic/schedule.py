"""Which tiles a thread block computes, and in which order, so that the cache holds what many of them stream."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl

from hybridlm.attention.block_lists import REMEMBERED, BlockLists
from hybridlm.attention.mosaic.rounds import NONE, rounds
from hybridlm.attention.mosaic.tiles import Tile, Tiles

CACHE = 40 << 20
"""Bytes of columns that thread blocks may walk at the same time; an H100's second cache has 50 MB."""


class Work(NamedTuple):
    """The blocks of each row of tiles, and the tile of each round and thread block where one takes several."""

    lists: BlockLists
    rounds: Array | None


@dataclasses.dataclass(frozen=True)
class Schedule:
    """All tiles of a kernel: row of the batch by row, in each as many heads at once as the cache holds the columns of,
    and of these from the longest tile to the shortest, heads side by side.

    columns_bytes: what the tiles of a head stream of a row of the batch. steps_per_block: how many steps each block of
    columns takes (heads that share the rows).
    """

    heads: int
    rows: int
    batch: int
    tiles: Tiles
    columns_bytes: int
    steps_per_block: int = 1

    @property
    def together(self) -> int:
        """Heads at once."""
        fits = max(CACHE // self.columns_bytes, 1)
        return max(n for n in range(1, self.heads + 1) if self.heads % n == 0 and n <= fits)

    @property
    def count(self) -> int:
        return self.heads * self.rows * self.batch

    @property
    def thread_blocks(self) -> int:
        return min(processors(), self.count) if self.tiles.is_persistent else self.count

    def work(self, lists: BlockLists) -> Work:
        """What a kernel reads of the lists."""
        if not self.tiles.is_persistent:
            return Work(lists, None)
        return Work(lists, jnp.asarray(rounds(self.count, self.rows, self.together, self.thread_blocks)))

    def each(self, work: Work, visit: Callable[[Tile], None]) -> None:
        """Visits this thread block's tiles; the slots of one follow those of the tile before."""
        place = lax.axis_index("processor")
        if work.rounds is None:
            visit(self._tile(work.lists, place, 0))
            return
        last = work.rounds.shape[0] - 1

        def visit_next(round, carry):
            taken, number = carry
            following = work.rounds[lax.min(round + 1, last), place]  # a tile ahead, for memory is far
            tile = self._tile(work.lists, number, taken)
            visit(tile)
            return taken + tile.total, following

        has_last = work.rounds[last, place] != NONE
        lax.fori_loop(0, last + has_last.astype("int32"), visit_next, (jnp.int32(0), work.rounds[0, place]))

    def _tile(self, lists: BlockLists, number: Array, taken: Array | int) -> Tile:
        number, side = lax.div(number, self.together), lax.rem(number, self.together)
        number, rank = lax.div(number, self.rows), lax.rem(number, self.rows)
        parts = self.heads // self.together
        batch, part = lax.div(number, parts), lax.rem(number, parts)
        row, width = 0 if lists.order.shape[0] == 1 else batch, self.tiles.columns
        full, bits = lists.full[row, rank], lists.seen[row, rank]

        def seen(step):
            number = lax.min(lax.div(step, self.steps_per_block) - full, REMEMBERED)
            return lax.shift_right_logical(bits, 4 * number)

        return Tile(
            batch=batch,
            head=part * self.together + side,
            row=row,
            index=lists.order[row, rank],
            full=full * self.steps_per_block,
            total=lists.total[row, rank] * self.steps_per_block,
            columns=lambda step: pl.ds(lists.column[row, rank, lax.div(step, self.steps_per_block)] * width, width),
            slot=lambda step: _remainder(taken + step, self.tiles.stages),
            seen=seen,
        )


def _remainder(number: Array, divisor: int) -> Array:
    """number % divisor of a number that is not negative, which the compiler cannot know of a signed one."""
    is_power_of_two = divisor & (divisor - 1) == 0
    return number & (divisor - 1) if is_power_of_two else lax.rem(number, divisor)


def processors() -> int:
    """Streaming multiprocessors of this machine's GPU; an H100's where it has none and compiles for one."""
    return getattr(jax.local_devices()[0], "core_count", 132)
