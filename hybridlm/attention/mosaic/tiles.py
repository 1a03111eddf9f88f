"""What the kernels share: two warpgroups compute a tile of rows each, a third streams columns to them.

A tile is 128 rows (queries, or keys in the gradient of keys and values) of one head; its computation walks the list of
blocks of columns that its rows see. The third warpgroup copies the next ones into a ring of shared-memory slots; a
barrier says when a slot is ready, another, on which both computing warpgroups arrive, when it is free. One thread block
per processor takes tile after tile, so that the first columns of a tile arrive while the one before is finished.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from hybridlm.attention.block_lists import REMEMBERED, BlockLists
from hybridlm.attention.mosaic.rounds import NONE, rounds

WARPGROUPS = 2
WARPGROUP_ROWS = 64
BLOCK_ROWS = WARPGROUPS * WARPGROUP_ROWS
PART, COLUMNS = 64, (64, 128)
"""Columns that the gradients take at a time, and those a step may have."""
LOG2_E = math.log2(math.e)

REGISTERS = 240, 24
"""Per thread of a warpgroup that computes and of the one that streams. A block has 168 per thread at launch: 504 for
its three warpgroups, and who asks for more waits for ever."""

CACHE = 40 << 20
"""Bytes of columns that thread blocks may walk at the same time; an H100's second cache has 50 MB."""


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


@dataclasses.dataclass(frozen=True)
class Stream:
    """A ring of blocks in shared memory: where the arrays of a step come from, their slots, the barriers of each."""

    source: Callable[[Tile, Array], tuple]
    slots: tuple
    ready: Any
    free: Any

    def fetch(self, tile: Tile, step: Array | int, slot: Array | int) -> None:
        """Copies a step of the tile as soon as the slot is free."""
        arrays = self.source(tile, step)  # first, for the list is far
        plgpu.barrier_wait(self.free.at[slot])
        for array, slots in zip(arrays, self.slots):
            plgpu.copy_gmem_to_smem(array, slots.at[slot], self.ready.at[slot])


class Work(NamedTuple):
    """The blocks of each row of tiles, and the tile of each round and thread block."""

    lists: BlockLists
    rounds: Array


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
        return Work(lists, jnp.asarray(rounds(self.count, self.rows, self.together, self.thread_blocks)))

    def each(self, work: Work, visit: Callable[[Tile], None]) -> None:
        """Visits this thread block's tiles; the slots of one follow those of the tile before."""
        place = lax.axis_index("processor")
        if not self.tiles.is_persistent:
            return visit(self._tile(work.lists, place, 0))
        last = work.rounds.shape[0] - 1

        def visit_next(round, carry):
            taken, number = carry
            following = work.rounds[lax.min(round + 1, last), place]  # a tile ahead, for memory is far
            tile = self._tile(work.lists, number, taken)
            visit(tile)
            return taken + tile.total, following

        has_last = work.rounds[last, place] != NONE
        lax.fori_loop(0, last + has_last.astype("int32"), visit_next, (jnp.int32(0), work.rounds[0, place]))
        return None

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
            slot=lambda step: lax.rem(taken + step, self.tiles.stages),
            seen=seen,
        )


def processors() -> int:
    """Streaming multiprocessors of this machine's GPU; an H100's where it has none and compiles for one."""
    return getattr(jax.local_devices()[0], "core_count", 132)


def run(
    compute: Callable[[Array, Callable], None],
    rows: Stream,
    streams: list[Stream],
    schedule: Schedule,
    work: Work,
) -> None:
    """Calls compute(warpgroup, each) in all warpgroups but the last, which streams; each(visit) goes through the tiles.

    rows: what is copied once per tile, to each warpgroup in the slot of its number, and freed by that warpgroup alone.
    """
    warpgroup = lax.axis_index("warpgroup")
    to_compute, to_stream = REGISTERS
    each = functools.partial(schedule.each, work)

    def for_each_slot(act):
        @pl.loop(0, schedule.tiles.stages)
        def _act(slot):
            for stream in streams:
                act(stream.free.at[slot])

    @pl.when(warpgroup < WARPGROUPS)
    def _compute():
        plgpu.set_max_registers(to_compute, action="increase")
        for_each_slot(plgpu.barrier_arrive)
        plgpu.barrier_arrive(rows.free.at[warpgroup])
        compute(warpgroup, each)
        plgpu.wait_smem_to_gmem(0, wait_read_only=True)

    @pl.when(warpgroup == WARPGROUPS)
    def _copy():
        plgpu.set_max_registers(to_stream, action="decrease")

        def copy(tile):
            def fetch(step):
                for stream in streams:
                    stream.fetch(tile, step, tile.slot(step))

            # the rows' slots are free once the tile before is done, all of the ring but one sooner
            early = lax.min(tile.total, schedule.tiles.stages - 1)
            pl.loop(0, early)(fetch)
            for slot in range(WARPGROUPS):
                rows.fetch(tile, slot, slot)
            pl.loop(early, tile.total)(fetch)

        each(copy)
        for_each_slot(plgpu.barrier_wait)
        for slot in range(WARPGROUPS):
            plgpu.barrier_wait(rows.free.at[slot])


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


def ring(count: int, *arrays: tuple[tuple[int, ...], Any], readers: int = WARPGROUPS) -> tuple:
    """Slots for arrays (shape, dtype) that come together, with their barriers: (slots, ready, free)."""
    return (
        tuple(plgpu.SMEM((count, *shape), dtype) for shape, dtype in arrays),
        plgpu.Barrier(num_barriers=count, num_arrivals=len(arrays)),
        plgpu.Barrier(num_barriers=count, num_arrivals=readers),
    )


def launch(kernel: Callable, *, out_type: Any, schedule: Schedule, scratch: tuple, interpret: Any):
    """The kernel as a function of arrays, on every processor."""
    mesh = plgpu.Mesh(
        grid=(schedule.thread_blocks,), grid_names=("processor",), num_threads=WARPGROUPS + 1, thread_name="warpgroup"
    )

    def body(*refs):
        pl.run_scoped(functools.partial(kernel, *refs), *scratch, collective_axes="warpgroup")

    params = plgpu.CompilerParams(approx_math=True)
    return pl.kernel(body, out_type, mesh=mesh, compiler_params=params, interpret=interpret)
