"""The gradients of keys and values: dv = ∑_q p dout and dk = scale ∑_q p (dout·v − delta) q, scores held transposed.

A thread block owns 128 keys and goes through the queries that see them, in all heads of their group, so the sums over a
group stay in registers.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from hybridlm.attention.block_lists import BlockLists
from hybridlm.attention.mosaic import joined, predicate
from hybridlm.attention.mosaic.predicate import COLUMNS, spread
from hybridlm.attention.mosaic.schedule import Schedule
from hybridlm.attention.mosaic.sight import Pairs, Sight
from hybridlm.attention.mosaic.stream import Stream, launch, ring, run
from hybridlm.attention.mosaic.tiles import (
    BLOCK_ROWS,
    LOG2_E,
    PART,
    WARPGROUP_ROWS,
    WARPGROUPS,
    Tiles,
    parts,
    when_seen,
)


@functools.partial(jax.jit, static_argnames=("pairs", "scale", "tiles", "interpret"))  # lowered once for all layers
def key_gradients(
    q: Array,
    k: Array,
    v: Array,
    dout: Array,
    log2_sum: Array,
    delta: Array,
    sight: Sight,
    lists: BlockLists,
    rotation: tuple[Array, ...] = (),
    into: Array | None = None,
    *,
    pairs: Pairs,
    scale: float,
    tiles: Tiles,
    interpret: Any = None,
) -> Any:
    """(dk, dv) [B, S, J, K]; the lists are those of the transposed classes.

    into: the gradient of the projection (`joined.py`) as far as it is there. Then what comes back is all of it.
    """
    H, (B, S, J, K) = q.shape[2], k.shape
    group, apart = H // J, into is None
    schedule = Schedule(J, S // BLOCK_ROWS, B, tiles, (q.nbytes + dout.nbytes) // (B * J), steps_per_block=group)
    score_tile = plgpu.ACC((WARPGROUP_ROWS, PART), jnp.float32)
    own_tile = plgpu.ACC((WARPGROUP_ROWS, K), jnp.float32)

    def kernel(*refs):
        q_ref, k_ref, v_ref, dout_ref, sum_ref, delta_ref, sight_ref, work_ref, rotation_ref, *refs = refs
        *outputs, rows, (dk_smem, dv_smem), columns, marks = refs
        (k_smem, v_smem, *k_facts_smem), rows_ready, rows_free = rows
        (q_smem, dout_smem, sum_smem, delta_smem), ready, free = columns
        marks_smem, marks_ready, marks_free = marks

        def compute(warpgroup, each):
            each(functools.partial(gradients, warpgroup))

        def gradients(warpgroup, tile):
            plgpu.barrier_wait(rows_ready.at[warpgroup])
            view = pairs.view(tile, warpgroup, k_facts_smem)

            def accumulate(dk_ref, dv_ref):
                def multiply(slot, parts, *products, is_partial):
                    behind = len(products)  # products still under way
                    # what is computed from it anew takes no registers between steps, but instructions in each
                    own = lax.optimization_barrier(warpgroup) if len(parts) == 1 else warpgroup
                    k_tile, v_tile = k_smem.at[own], v_smem.at[own]
                    # shared memory is busy with what products read once they are issued
                    log2_sum = predicate.vector(sum_smem.at[slot, parts[0]], COLUMNS)
                    for part, s_ref, dp_ref in zip(parts, products[::2], products[1::2]):
                        plgpu.wgmma(s_ref, k_tile, q_smem.at[slot, part].T)
                        plgpu.wgmma(dp_ref, v_tile, dout_smem.at[slot, part].T)
                    for part, later, s_ref, dp_ref in zip(parts, [*parts[1:], None], products[::2], products[1::2]):
                        s = plgpu.wgmma_accumulator_load(s_ref, wait_n=behind - 1)
                        p = jnp.exp2(s * (scale * LOG2_E) - spread(log2_sum, s.shape, COLUMNS))
                        if is_partial:
                            p = view.hide(p, 0.0, [mark.at[slot] for mark in marks_smem], part)
                        delta = predicate.vector(delta_smem.at[slot, part], COLUMNS)
                        plgpu.wgmma(dv_ref, p.astype(q.dtype), dout_smem.at[slot, part])
                        dp = plgpu.wgmma_accumulator_load(dp_ref, wait_n=behind - 1)
                        ds = p * (dp - spread(delta, p.shape, COLUMNS))
                        if later:
                            log2_sum = predicate.vector(sum_smem.at[slot, later], COLUMNS)
                        plgpu.wgmma(dk_ref, ds.astype(q.dtype), q_smem.at[slot, part])

                def take(slot, *parts, is_partial):
                    multiplied = functools.partial(multiply, slot, parts, is_partial=is_partial)
                    pl.run_scoped(multiplied, *[score_tile] * (2 * len(parts)))
                    plgpu.wgmma_wait(0)

                def full_step(step, _):
                    slot = tile.slot(step)
                    plgpu.barrier_wait(ready.at[slot])
                    take(slot, *parts(tiles), is_partial=False)
                    plgpu.barrier_arrive(free.at[slot])

                def partial_step(step, _):
                    slot = tile.slot(step)
                    plgpu.barrier_wait(ready.at[slot])
                    plgpu.barrier_wait(marks_ready.at[slot])
                    when_seen(tiles, tile.seen(step), warpgroup, functools.partial(take, slot, is_partial=True))
                    plgpu.barrier_arrive(marks_free.at[slot])
                    plgpu.barrier_arrive(free.at[slot])

                lax.fori_loop(0, tile.full, full_step, None)
                lax.fori_loop(tile.full, tile.total, partial_step, None)
                plgpu.barrier_arrive(rows_free.at[warpgroup])
                return dk_ref[...], dv_ref[...]

            dk, dv = pl.run_scoped(accumulate, own_tile, own_tile)
            plgpu.wait_smem_to_gmem(0, wait_read_only=True)
            dk = joined.turned_back(dk * scale, rotation_ref, tile.batch, tile.rows(warpgroup))
            dk_smem[warpgroup] = dk.astype(k.dtype)
            dv_smem[warpgroup] = dv.astype(v.dtype)
            plgpu.commit_smem()
            place = tile.batch, tile.rows(warpgroup), tile.head
            for number, tile_smem in enumerate((dk_smem, dv_smem)):
                there = outputs[number].at[place] if apart else outputs[0].at[*place, group + number]
                plgpu.copy_smem_to_gmem(tile_smem.at[warpgroup], there)

        def of_columns(tile, step):
            block, head = tile.columns(step), tile.head * group + lax.rem(step, group)
            matrices = (ref.at[tile.batch, block, head] for ref in (q_ref, dout_ref))
            numbers = (ref.at[tile.batch, head, block] for ref in (sum_ref, delta_ref))
            return *matrices, *numbers

        def of_rows(tile, warpgroup):
            block = tile.rows(warpgroup)
            matrices = (ref.at[tile.batch, block, tile.head] for ref in (k_ref, v_ref))
            return *matrices, *(ref.at[tile.row, block] for ref in sight_ref.rows)

        marks_of = functools.partial(pairs.marks, sight_ref)
        streams = [Stream(of_columns, *columns), Stream(marks_of, *marks, of_masked=True)]
        run(compute, Stream(of_rows, *rows), streams, schedule, work_ref)

    own, matrix = ((WARPGROUP_ROWS, K), q.dtype), ((tiles.columns, K), q.dtype)
    numbers = ((tiles.columns,), jnp.float32)
    rows = ring(WARPGROUPS, own, own, *pairs.row_arrays(WARPGROUP_ROWS), readers=1)
    columns = ring(tiles.stages, matrix, matrix, numbers, numbers)
    marks = ring(tiles.stages, *pairs.mark_arrays(tiles.columns))
    found = plgpu.SMEM((WARPGROUPS, WARPGROUP_ROWS, K), q.dtype)
    kernel = launch(
        kernel,
        out_type=(jax.ShapeDtypeStruct(k.shape, k.dtype), jax.ShapeDtypeStruct(v.shape, v.dtype)) if apart else (),
        schedule=schedule,
        scratch=(rows, (found, found), columns, marks),
        interpret=interpret,
    )
    kernel = functools.partial(kernel, q, k, v, dout, log2_sum, delta, sight, schedule.work(lists), rotation)
    if apart:
        return kernel()
    whole = jax.new_ref(into)
    kernel(whole)
    return jax.freeze(whole)
