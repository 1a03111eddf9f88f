"""What the three kernels share: two warpgroups compute a tile of rows each, a third streams columns to them.

A thread block owns 128 rows (queries, or keys in the gradient of keys and values) and walks the list of blocks of
columns that its rows see. The third warpgroup copies the next ones into a ring of shared-memory slots; a barrier says
when a slot is ready, another, on which both computing warpgroups arrive, when it is free again.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from hybridlm.attention.block_lists import BlockLists

WARPGROUPS = 2
WARPGROUP_ROWS = 64
BLOCK_ROWS = WARPGROUPS * WARPGROUP_ROWS
LOG2_E = math.log2(math.e)

_COMPUTE_REGISTERS, _MEMORY_REGISTERS = 240, 24
"""Registers per thread; the three warpgroups of a block share 65,536."""


@dataclasses.dataclass(frozen=True)
class Tiles:
    """How a kernel streams: columns at a time, and how many such blocks are in shared memory at once."""

    columns: int
    stages: int

    def __post_init__(self) -> None:
        if self.columns not in (64, 128) or self.stages < 1:
            raise ValueError(
                f"tiles of {self.columns} columns, {self.stages} at once, cannot be: a block of 128 rows and a matrix "
                "unit want 64 or 128 columns, and a stream at least 1 stage. Take Tiles(64, 2)."
            )


@dataclasses.dataclass(frozen=True)
class Stream:
    """One ring of blocks in shared memory: where step i comes from, the slots, and the barriers of each slot."""

    source: Callable[[Array], Any]
    slots: Any
    ready: Any
    free: Any


def work(lists: BlockLists, batch: Array) -> tuple[Array | int, Array, Array, Array, Callable]:
    """This thread block's row of facts, its row of blocks, how many columns are full, how many there are, and each."""
    row = 0 if lists.order.shape[0] == 1 else batch
    tile = lists.order[row, lax.axis_index("tile")]
    return row, tile, lists.full[row, tile], lists.total[row, tile], lambda step: lists.column[row, tile, step]


def run(compute: Callable[[Array], None], streams: list[Stream], steps: Array) -> None:
    """Computes in all warpgroups but the last, which streams."""
    warpgroup = lax.axis_index("warpgroup")

    @pl.when(warpgroup < WARPGROUPS)
    def _compute():
        plgpu.set_max_registers(_COMPUTE_REGISTERS, action="increase")
        compute(warpgroup)

    @pl.when(warpgroup == WARPGROUPS)
    def _copy():
        plgpu.set_max_registers(_MEMORY_REGISTERS, action="decrease")
        stages = streams[0].slots.shape[0]

        @pl.loop(0, steps)
        def _fetch(step):
            slot = lax.rem(step, stages)
            for stream in streams:
                pl.when(step >= stages)(functools.partial(plgpu.barrier_wait, stream.free.at[slot]))
                plgpu.copy_gmem_to_smem(stream.source(step), stream.slots.at[slot], stream.ready.at[slot])

        @pl.loop(jnp.maximum(steps - stages, 0), steps)
        def _see_off(step):
            for stream in streams:
                plgpu.barrier_wait(stream.free.at[lax.rem(step, stages)])


def rings(shape: tuple[int, ...], dtype: Any, tiles: Tiles) -> tuple:
    """Slots for one stream with their barriers: (slots, ready, free)."""
    return (
        plgpu.SMEM((tiles.stages, *shape), dtype),
        plgpu.Barrier(num_barriers=tiles.stages),
        plgpu.Barrier(num_barriers=tiles.stages, num_arrivals=WARPGROUPS),
    )


def launch(kernel: Callable, *, out_type: Any, heads: int, row_blocks: int, batch: int, scratch: tuple, interpret: Any):
    """The kernel as a function of arrays: one thread block per head, block of rows and row of the batch."""
    return plgpu.kernel(
        kernel,
        out_type=out_type,
        grid=(heads, row_blocks, batch),
        grid_names=("head", "tile", "batch"),
        num_threads=WARPGROUPS + 1,
        thread_name="warpgroup",
        scratch_types=scratch,
        compiler_params=plgpu.CompilerParams(approx_math=True),
        interpret=interpret,
    )
