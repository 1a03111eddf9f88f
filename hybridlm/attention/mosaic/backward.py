"""All gradients in one pass: dv = ∑_q p dout, dk = scale ∑_q ds q, dq = scale ∑ₖ ds k, with ds = p (dout·v − delta).

A thread block owns 128 keys and goes through the queries that see them, in all heads of their group, so the sums dk and
dv stay in registers. Scores are held transposed. What the keys give a step's queries goes through shared memory, one
step late: each computing warpgroup writes the ds of its keys, multiplies those that both wrote in the step before with
its half of the keys' width, and adds the product to dq in memory. So neither waits for what the other does meanwhile.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from hybridlm.attention.block_lists import BlockLists
from hybridlm.attention.mosaic import predicate
from hybridlm.attention.mosaic.predicate import COLUMNS, spread
from hybridlm.attention.mosaic.schedule import Schedule
from hybridlm.attention.mosaic.sight import Pairs, Sight
from hybridlm.attention.mosaic.stream import Stream, launch, ring, run
from hybridlm.attention.mosaic.tiles import BLOCK_ROWS, LOG2_E, PART, WARPGROUP_ROWS, WARPGROUPS, Tiles


@functools.partial(jax.jit, static_argnames=("pairs", "scale", "tiles", "interpret"))  # lowered once for all layers
def gradients(
    q: Array,
    k: Array,
    v: Array,
    dout: Array,
    log2_sum: Array,
    delta: Array,
    sight: Sight,
    lists: BlockLists,
    *,
    pairs: Pairs,
    scale: float,
    tiles: Tiles,
    interpret: Any = None,
) -> tuple[Array, Array, Array]:
    """(dq [B, T, H, K], dk, dv [B, S, J, K]); the lists are those of the transposed classes.

    Thread blocks add to dq in the order in which they come, so its last bits differ from run to run.

    Raises: ValueError for tiles that are not 64 columns wide.
    """
    if tiles.columns != PART:
        raise ValueError(
            f"one pass for all gradients takes {PART} columns a step, not {tiles.columns}: take Tiles(64, 2)."
        )
    H, (B, S, J, K) = q.shape[2], k.shape
    group = H // J
    schedule = Schedule(J, S // BLOCK_ROWS, B, tiles, (q.nbytes + dout.nbytes) // (B * J), steps_per_block=group)
    score_tile, own_tile, dq_tile = (
        plgpu.ACC((WARPGROUP_ROWS, width), jnp.float32) for width in (PART, K, K // WARPGROUPS)
    )

    def kernel(*refs):
        q_ref, k_ref, v_ref, dout_ref, sum_ref, delta_ref, sight_ref, work_ref, *refs = refs
        dq_ref, dk_ref, dv_ref, rows, (ds_smem, dq_smem, written), columns, marks = refs
        (k_smem, v_smem, *k_facts_smem), rows_ready, rows_free = rows
        (q_smem, dout_smem, sum_smem, delta_smem), ready, free = columns
        marks_smem, marks_ready, marks_free = marks

        def head_of(tile, step):
            return tile.head * group + lax.rem(step, group)

        def half(own):
            return pl.ds(own * (K // WARPGROUPS), K // WARPGROUPS)

        def compute(warpgroup, each):
            each(functools.partial(of_tile, warpgroup))

        def of_tile(warpgroup, tile):
            plgpu.barrier_wait(rows_ready.at[warpgroup])
            view = pairs.view(tile, warpgroup, k_facts_smem)
            ds_smem[1, warpgroup] = jnp.zeros((WARPGROUP_ROWS, PART), q.dtype)  # of the step before the first
            plgpu.commit_smem()
            plgpu.barrier_arrive(written)

            def of_queries(dq_acc, step, own):
                """Issues what the keys of both warpgroups give to a step's queries, as wide as this one's half."""
                for of_keys in range(WARPGROUPS):
                    ds = ds_smem.at[lax.rem(step + 2, 2), of_keys]  # the step before the first is -1
                    plgpu.wgmma(dq_acc, ds.T, k_smem.at[of_keys, :, half(own)])

            def add(dq, step, own):
                """Adds it to dq in memory."""
                plgpu.wait_smem_to_gmem(0, wait_read_only=True)
                dq_smem[own] = dq
                plgpu.commit_smem()

                @pl.when(step >= 0)
                def _add():
                    there = dq_ref.at[tile.batch, tile.columns(step), head_of(tile, step), half(own)]
                    plgpu.copy_smem_to_gmem(dq_smem.at[own], there, reduction_op="add")

            def step_of(step, _, dk_ref, dv_ref, *, is_partial):
                slot = tile.slot(step)
                # what is computed from it anew in each step takes no registers between steps
                own = lax.optimization_barrier(warpgroup)
                plgpu.barrier_wait(ready.at[slot])

                def slopes(s_ref, dp_ref):
                    # shared memory is busy with what products read once they are issued
                    log2_sum = predicate.vector(sum_smem.at[slot], COLUMNS)
                    plgpu.wgmma(s_ref, k_smem.at[own], q_smem.at[slot].T)
                    plgpu.wgmma(dp_ref, v_smem.at[own], dout_smem.at[slot].T)
                    s = plgpu.wgmma_accumulator_load(s_ref, wait_n=1)
                    p = jnp.exp2(s * (scale * LOG2_E) - spread(log2_sum, s.shape, COLUMNS))
                    if is_partial:
                        plgpu.barrier_wait(marks_ready.at[slot])
                        p = view.hide(p, 0.0, [mark.at[slot] for mark in marks_smem], pl.ds(0, PART))
                        plgpu.barrier_arrive(marks_free.at[slot])
                    delta = predicate.vector(delta_smem.at[slot], COLUMNS)
                    plgpu.wgmma(dv_ref, p.astype(q.dtype), dout_smem.at[slot])
                    dp = plgpu.wgmma_accumulator_load(dp_ref, wait_n=1)
                    return (p * (dp - spread(delta, p.shape, COLUMNS))).astype(q.dtype)

                def of_step_before(dq_acc):
                    of_queries(dq_acc, step - 1, own)
                    plgpu.wgmma(dk_ref, ds, q_smem.at[slot])
                    return plgpu.wgmma_accumulator_load(dq_acc, wait_n=1)

                ds = pl.run_scoped(slopes, score_tile, score_tile)
                plgpu.barrier_wait(written)  # both have the ds of the step before, and have read those before these
                ds_smem[lax.rem(step, 2), own] = ds
                add(pl.run_scoped(of_step_before, dq_tile), step - 1, own)
                plgpu.barrier_arrive(written)
                plgpu.wgmma_wait(0)
                plgpu.barrier_arrive(free.at[slot])

            def accumulate(dk_ref, dv_ref):
                take = functools.partial(step_of, dk_ref=dk_ref, dv_ref=dv_ref)
                lax.fori_loop(0, tile.full, functools.partial(take, is_partial=False), None)
                lax.fori_loop(tile.full, tile.total, functools.partial(take, is_partial=True), None)
                return dk_ref[...], dv_ref[...]

            def of_last_step(dq_acc):
                plgpu.barrier_wait(written)
                of_queries(dq_acc, tile.total - 1, warpgroup)
                return plgpu.wgmma_accumulator_load(dq_acc, wait_n=0)

            dk, dv = pl.run_scoped(accumulate, own_tile, own_tile)
            add(pl.run_scoped(of_last_step, dq_tile), tile.total - 1, warpgroup)
            plgpu.barrier_arrive(written)
            plgpu.barrier_wait(written)  # the other warpgroup has read these keys
            k_tile, v_tile = k_smem.at[warpgroup], v_smem.at[warpgroup]
            k_tile[...] = (dk * scale).astype(k.dtype)
            v_tile[...] = dv.astype(v.dtype)
            plgpu.commit_smem()
            for tile_smem, ref in (k_tile, dk_ref), (v_tile, dv_ref):
                plgpu.copy_smem_to_gmem(tile_smem, ref.at[tile.batch, tile.rows(warpgroup), tile.head])
            plgpu.wait_smem_to_gmem(0, wait_read_only=True)
            plgpu.barrier_arrive(rows_free.at[warpgroup])

        def of_columns(tile, step):
            block, head = tile.columns(step), head_of(tile, step)
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
    between = (
        plgpu.SMEM((2, WARPGROUPS, WARPGROUP_ROWS, PART), q.dtype),
        plgpu.SMEM((WARPGROUPS, *dq_tile.shape), jnp.float32),
        plgpu.Barrier(num_arrivals=WARPGROUPS),
    )
    dq = jax.new_ref(jnp.zeros(q.shape, jnp.float32))
    kernel = launch(
        kernel,
        out_type=(jax.ShapeDtypeStruct(k.shape, k.dtype), jax.ShapeDtypeStruct(v.shape, v.dtype)),
        schedule=schedule,
        scratch=(rows, between, columns, marks),
        interpret=interpret,
    )
    dk, dv = kernel(q, k, v, dout, log2_sum, delta, sight, schedule.work(lists), dq)
    return (jax.freeze(dq) * scale).astype(q.dtype), dk, dv
