"""How columns come: two warpgroups compute a tile of rows each, a third streams columns to them.

The third warpgroup copies the next blocks into a ring of shared-memory slots; a barrier says when a slot is ready,
another, on which both computing warpgroups arrive, when it is free. One thread block per processor takes tile after
tile, so that the first columns of a tile arrive while the one before is finished.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from jax import Array, lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from hybridlm.attention.mosaic.schedule import Schedule, Work
from hybridlm.attention.mosaic.tiles import WARPGROUPS, Tile

REGISTERS = 240, 24
"""Per thread of a warpgroup that computes and of the one that streams. A block has 168 per thread at launch: 504 for
its three warpgroups, and who asks for more waits for ever."""


@dataclasses.dataclass(frozen=True)
class Stream:
    """A ring of blocks in shared memory: where the arrays of a step come from, their slots, the barriers of each.

    of_masked: it comes only with steps that have something to hide.
    """

    source: Callable[[Tile, Array], tuple]
    slots: tuple
    ready: Any
    free: Any
    of_masked: bool = False

    def fetch(self, tile: Tile, step: Array | int, slot: Array | int) -> None:
        """Copies a step of the tile as soon as the slot is free."""
        arrays = self.source(tile, step)  # first, for the list is far
        plgpu.barrier_wait(self.free.at[slot])
        for array, slots in zip(arrays, self.slots):
            plgpu.copy_gmem_to_smem(array, slots.at[slot], self.ready.at[slot])
        if not arrays:
            plgpu.barrier_arrive(self.ready.at[slot])


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
                    fetch = functools.partial(stream.fetch, tile, step, tile.slot(step))
                    if stream.of_masked:
                        pl.when(step >= tile.full)(fetch)
                    else:
                        fetch()

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


def ring(count: int, *arrays: tuple[tuple[int, ...], Any], readers: int = WARPGROUPS) -> tuple:
    """Slots for arrays (shape, dtype) that come together, with their barriers: (slots, ready, free)."""
    return (
        tuple(plgpu.SMEM((count, *shape), dtype) for shape, dtype in arrays),
        plgpu.Barrier(num_barriers=count, num_arrivals=max(1, len(arrays))),
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
