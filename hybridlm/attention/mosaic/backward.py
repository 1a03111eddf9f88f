"""All gradients in one pass: dv = ∑_q p dout, dk = scale ∑_q ds q, dq = scale ∑ₖ ds k, with ds = p (dout·v − delta).

A thread block owns 128 keys and goes through the queries that see them, in all heads of their group, so the sums dk and
dv stay in registers. Scores are held transposed. What the keys give a step's queries goes through shared memory: each
computing warpgroup writes the ds of its keys, and the one that streams multiplies them with the keys, piece by piece of
dq, and adds each piece to dq in memory. So neither of the computing warpgroups waits for the other.
"""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from hybridlm.attention.block_lists import BlockLists
from hybridlm.attention.mosaic import predicate
from hybridlm.attention.mosaic.predicate import COLUMNS, spread
from hybridlm.attention.mosaic.tiles import (
    BLOCK_ROWS,
    LOG2_E,
    PART,
    WARPGROUP_ROWS,
    WARPGROUPS,
    Schedule,
    Stream,
    Tiles,
    launch,
    parts,
    ring,
    run,
)
from hybridlm.masks.mask import Mask

PLACES, WIDTH = 2, 32
"""Steps whose ds are in shared memory at once; how much of the width of dq is multiplied at a time."""


@functools.partial(jax.jit, static_argnames=("mask", "scale", "tiles", "interpret"))  # lowered once for all layers
def gradients(
    q: Array,
    k: Array,
    v: Array,
    dout: Array,
    log2_sum: Array,
    delta: Array,
    q_facts: tuple[Array, ...],
    k_facts: tuple[Array, ...],
    lists: BlockLists,
    *,
    mask: Mask,
    scale: float,
    tiles: Tiles,
    interpret: Any = None,
) -> tuple[Array, Array, Array]:
    """(dq [B, T, H, K], dk, dv [B, S, J, K]); the lists are those of the transposed classes.

    Thread blocks add to dq in the order in which they come, so its last bits differ from run to run.
    """
    H, (B, S, J, K) = q.shape[2], k.shape
    group = H // J
    schedule = Schedule(J, S // BLOCK_ROWS, B, tiles, (q.nbytes + dout.nbytes) // (B * J), steps_per_block=group)
    own_tile = plgpu.ACC((WARPGROUP_ROWS, K), jnp.float32)
    pieces = list(itertools.product(parts(tiles), (pl.ds(first, WIDTH) for first in range(0, K, WIDTH))))

    def kernel(*refs):
        q_ref, k_ref, v_ref, dout_ref, sum_ref, delta_ref, q_facts_ref, k_facts_ref, lists_ref, *refs = refs
        dq_ref, dk_ref, dv_ref, rows, (ds_smem, dq_smem, written, taken), columns = refs
        (k_smem, v_smem, *k_facts_smem), rows_ready, rows_free = rows
        (q_smem, dout_smem, sum_smem, delta_smem, *q_facts_smem), ready, free = columns

        def compute(warpgroup, each):
            each(functools.partial(of_tile, warpgroup))

        def of_tile(warpgroup, tile):
            plgpu.barrier_wait(rows_ready.at[warpgroup])
            keys = predicate.along_rows(mask, "k", k_facts_smem, warpgroup)

            def step_of(step, _, dk_ref, dv_ref, *, is_partial):
                slot, place = tile.slot(step), lax.rem(step, PLACES)
                # what is computed from it anew in each step takes no registers between steps
                own = lax.optimization_barrier(warpgroup)
                plgpu.barrier_wait(ready.at[slot])

                def multiply(sums):
                    under_way = []

                    def issue(acc, left, right):
                        plgpu.wgmma(acc, left, right)
                        under_way.append(acc)

                    def await_(acc):
                        behind = [other is acc for other in reversed(under_way)].index(True)
                        return plgpu.wgmma_accumulator_load(acc, wait_n=behind)

                    for part, s_ref, dp_ref in zip(parts(tiles), sums[::2], sums[1::2]):
                        issue(s_ref, k_smem.at[own], q_smem.at[slot, part].T)
                        issue(dp_ref, v_smem.at[own], dout_smem.at[slot, part].T)
                    plgpu.barrier_wait(taken.at[place])
                    for part, s_ref, dp_ref in zip(parts(tiles), sums[::2], sums[1::2]):
                        p = jnp.exp2(await_(s_ref) * (scale * LOG2_E))
                        if is_partial:
                            queries = predicate.along_columns(mask, "q", q_facts_smem, slot, part)
                            p = predicate.hide(mask, p, 0.0, keys, queries, of_rows="k")
                        issue(dv_ref, p.astype(q.dtype), dout_smem.at[slot, part])
                        ds_smem[place, own, :, part] = (p * await_(dp_ref)).astype(q.dtype)
                    plgpu.commit_smem()
                    plgpu.barrier_arrive(written.at[place])
                    issue(dk_ref, ds_smem.at[place, own], q_smem.at[slot])

                def subtracting(ref, part):
                    numbers = predicate.vector(ref.at[slot, part], COLUMNS)
                    return plgpu.ACC.init(spread(numbers, (WARPGROUP_ROWS, PART), COLUMNS))

                starts = (subtracting(ref, part) for part in parts(tiles) for ref in (sum_smem, delta_smem))
                pl.run_state(multiply)(tuple(starts))
                plgpu.wgmma_wait(0)
                plgpu.barrier_arrive(free.at[slot])

            def accumulate(dk_ref, dv_ref):
                take = functools.partial(step_of, dk_ref=dk_ref, dv_ref=dv_ref)
                lax.fori_loop(0, tile.full, functools.partial(take, is_partial=False), None)
                lax.fori_loop(tile.full, tile.total, functools.partial(take, is_partial=True), None)
                return dk_ref[...], dv_ref[...]

            dk, dv = pl.run_scoped(accumulate, own_tile, own_tile)
            for place in range(PLACES):
                plgpu.barrier_wait(taken.at[place])  # and with it these keys
            k_tile, v_tile = k_smem.at[warpgroup], v_smem.at[warpgroup]
            k_tile[...] = (dk * scale).astype(k.dtype)
            v_tile[...] = dv.astype(v.dtype)
            plgpu.commit_smem()
            for tile_smem, ref in (k_tile, dk_ref), (v_tile, dv_ref):
                plgpu.copy_smem_to_gmem(tile_smem, ref.at[tile.batch, tile.rows(warpgroup), tile.head])
            plgpu.wait_smem_to_gmem(0, wait_read_only=True)
            plgpu.barrier_arrive(rows_free.at[warpgroup])

        def add_queries(tile, fetch):
            for place in range(PLACES):
                plgpu.barrier_arrive(taken.at[place])
            pl.loop(0, jnp.minimum(tiles.stages, tile.total))(fetch)
            for warpgroup in range(WARPGROUPS):
                plgpu.barrier_wait(rows_ready.at[warpgroup])

            @pl.loop(0, tile.total)
            def _step(step):
                place, head = lax.rem(step, PLACES), tile.head * group + lax.rem(step, group)
                plgpu.barrier_wait(written.at[place])
                for number, (part, width) in enumerate(pieces):

                    def multiply(dq_acc, part=part, width=width):
                        for of_keys in range(WARPGROUPS):
                            plgpu.wgmma(dq_acc, ds_smem.at[place, of_keys, :, part].T, k_smem.at[of_keys, :, width])
                        return plgpu.wgmma_accumulator_load(dq_acc, wait_n=0)

                    dq = pl.run_scoped(multiply, plgpu.ACC((PART, WIDTH), jnp.float32))
                    if number == 0:
                        pl.when(step + tiles.stages < tile.total)(lambda: fetch(step + tiles.stages))
                    plgpu.wait_smem_to_gmem(len(pieces) - 1, wait_read_only=True)
                    dq_smem[number] = dq
                    plgpu.commit_smem()
                    queries = pl.ds(tile.columns(step).start + part.start, PART)
                    there = dq_ref.at[tile.batch, queries, head, width]
                    plgpu.copy_smem_to_gmem(dq_smem.at[number], there, reduction_op="add")
                plgpu.barrier_arrive(taken.at[place])

            plgpu.wait_smem_to_gmem(0, wait_read_only=True)

        def of_columns(tile, step):
            block, head = tile.columns(step), tile.head * group + lax.rem(step, group)
            matrices = (ref.at[tile.batch, block, head] for ref in (q_ref, dout_ref))
            numbers = (ref.at[tile.batch, head, block] for ref in (sum_ref, delta_ref))
            return *matrices, *numbers, *(ref.at[tile.row, block] for ref in q_facts_ref)

        def of_rows(tile, warpgroup):
            block = tile.rows(warpgroup)
            matrices = (ref.at[tile.batch, block, tile.head] for ref in (k_ref, v_ref))
            return *matrices, *(ref.at[tile.row, block] for ref in k_facts_ref)

        run(compute, Stream(of_rows, *rows), [Stream(of_columns, *columns)], schedule, lists_ref, add_queries)

    own, matrix = ((WARPGROUP_ROWS, K), q.dtype), ((tiles.columns, K), q.dtype)
    numbers = ((tiles.columns,), jnp.float32)
    rows = ring(WARPGROUPS, own, own, *predicate.arrays(mask, "k", WARPGROUP_ROWS), readers=1)
    columns = ring(tiles.stages, matrix, matrix, numbers, numbers, *predicate.arrays(mask, "q", tiles.columns))
    between = (
        plgpu.SMEM((PLACES, WARPGROUPS, WARPGROUP_ROWS, tiles.columns), q.dtype),
        plgpu.SMEM((len(pieces), PART, WIDTH), jnp.float32),
        plgpu.Barrier(num_barriers=PLACES, num_arrivals=WARPGROUPS),
        plgpu.Barrier(num_barriers=PLACES, num_arrivals=1),
    )
    dq = jax.new_ref(jnp.zeros(q.shape, jnp.float32))
    kernel = launch(
        kernel,
        out_type=(jax.ShapeDtypeStruct(k.shape, k.dtype), jax.ShapeDtypeStruct(v.shape, v.dtype)),
        schedule=schedule,
        scratch=(rows, between, columns),
        interpret=interpret,
    )
    # what a product starts with instead of zeros, so that nothing is left to subtract from it
    log2_sum, delta = -log2_sum / (scale * LOG2_E), -delta
    dk, dv = kernel(q, k, v, dout, log2_sum, delta, q_facts, k_facts, lists, dq)
    return (jax.freeze(dq) * scale).astype(q.dtype), dk, dv
