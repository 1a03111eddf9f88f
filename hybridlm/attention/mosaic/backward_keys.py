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
from hybridlm.attention.mosaic import predicate
from hybridlm.attention.mosaic.predicate import COLUMNS, spread
from hybridlm.attention.mosaic.tiles import (
    BLOCK_ROWS,
    LOG2_E,
    WARPGROUP_ROWS,
    WARPGROUPS,
    Schedule,
    Stream,
    Tiles,
    launch,
    rings,
    run,
)
from hybridlm.masks.mask import Mask


@functools.partial(jax.jit, static_argnames=("mask", "scale", "tiles", "interpret"))  # lowered once for all layers
def key_gradients(
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
) -> tuple[Array, Array]:
    """(dk, dv) [B, S, J, K]; the lists are those of the transposed classes."""
    H, (B, S, J, K) = q.shape[2], k.shape
    group = H // J
    schedule = Schedule(J, S // BLOCK_ROWS, B, tiles, steps_per_block=group)
    score_tile = plgpu.ACC((WARPGROUP_ROWS, tiles.columns), jnp.float32)
    own_tile = plgpu.ACC((WARPGROUP_ROWS, K), jnp.float32)

    def kernel(
        q_ref, k_ref, v_ref, dout_ref, sum_ref, delta_ref, q_facts_ref, k_facts_ref, lists_ref, dk_ref, dv_ref, *scratch
    ):
        (k_smem, v_smem, own_ready), *streamed = scratch
        (q_smem, q_ready, q_free), (dout_smem, dout_ready, dout_free) = streamed[:2]
        (sum_smem, sum_ready, sum_free), (delta_smem, delta_ready, delta_free), facts = streamed[2:]

        def block(tile, step):
            return pl.ds(tile.column(step) * tiles.columns, tiles.columns)

        def head(tile, step):
            return tile.head * group + lax.rem(step, group)

        def compute(warpgroup, each):
            each(functools.partial(gradients, warpgroup))

        def gradients(warpgroup, tile):
            batch, kv_head, rows = tile.batch, tile.head, tile.rows(warpgroup)
            k_tile, v_tile, ready = k_smem.at[warpgroup], v_smem.at[warpgroup], own_ready.at[warpgroup]
            plgpu.copy_gmem_to_smem(k_ref.at[batch, rows, kv_head], k_tile, ready)
            plgpu.copy_gmem_to_smem(v_ref.at[batch, rows, kv_head], v_tile, ready)
            keys = predicate.of_rows(mask, "k", k_facts_ref, tile.row, rows)
            plgpu.barrier_wait(ready)

            def step_of(step, _, dk_ref, dv_ref, *, is_partial):
                slot = tile.slot(step)

                def score_gradient(s_ref, dp_ref):
                    plgpu.barrier_wait(q_ready.at[slot])
                    plgpu.wgmma(s_ref, k_tile, q_smem.at[slot].T)
                    plgpu.barrier_wait(dout_ready.at[slot])
                    plgpu.wgmma(dp_ref, v_tile, dout_smem.at[slot].T)
                    plgpu.barrier_wait(sum_ready.at[slot])
                    log2_sum = predicate.vector(sum_smem.at[slot], COLUMNS)
                    plgpu.barrier_arrive(sum_free.at[slot])
                    s = plgpu.wgmma_accumulator_load(s_ref, wait_n=1)
                    p = jnp.exp2(s * (scale * LOG2_E) - spread(log2_sum, s.shape, COLUMNS))
                    if is_partial:
                        p = predicate.hide(mask, p, 0.0, keys, query_facts, slot, own_side="k")
                    plgpu.wgmma(dv_ref, p.astype(q.dtype), dout_smem.at[slot])
                    plgpu.barrier_wait(delta_ready.at[slot])
                    delta = predicate.vector(delta_smem.at[slot], COLUMNS)
                    plgpu.barrier_arrive(delta_free.at[slot])
                    dp = plgpu.wgmma_accumulator_load(dp_ref, wait_n=1)
                    return p * (dp - spread(delta, p.shape, COLUMNS))

                ds = pl.run_scoped(score_gradient, score_tile, score_tile)
                plgpu.wgmma(dk_ref, ds.astype(q.dtype), q_smem.at[slot])
                plgpu.wgmma_wait(0)
                plgpu.barrier_arrive(dout_free.at[slot])
                plgpu.barrier_arrive(q_free.at[slot])

            def accumulate(dk_ref, dv_ref):
                take = functools.partial(step_of, dk_ref=dk_ref, dv_ref=dv_ref)
                lax.fori_loop(0, tile.full, functools.partial(take, is_partial=False), None)
                lax.fori_loop(tile.full, tile.total, functools.partial(take, is_partial=True), None)
                return dk_ref[...], dv_ref[...]

            dk, dv = pl.run_scoped(accumulate, own_tile, own_tile)
            k_tile[...] = (dk * scale).astype(k.dtype)
            v_tile[...] = dv.astype(v.dtype)
            plgpu.commit_smem()
            plgpu.copy_smem_to_gmem(k_tile, dk_ref.at[batch, rows, kv_head])
            plgpu.copy_smem_to_gmem(v_tile, dv_ref.at[batch, rows, kv_head])
            plgpu.wait_smem_to_gmem(0, wait_read_only=True)

        def matrix(ref, tile, step):
            return ref.at[tile.batch, block(tile, step), head(tile, step)]

        def numbers(ref, tile, step):
            return ref.at[tile.batch, head(tile, step), block(tile, step)]

        query_facts = predicate.fact_streams(q_facts_ref, facts, block)
        streams = [
            Stream(functools.partial(matrix, q_ref), q_smem, q_ready, q_free),
            Stream(functools.partial(matrix, dout_ref), dout_smem, dout_ready, dout_free),
            Stream(functools.partial(numbers, sum_ref), sum_smem, sum_ready, sum_free),
            Stream(functools.partial(numbers, delta_ref), delta_smem, delta_ready, delta_free),
        ]
        run(compute, [*streams, *query_facts], schedule, lists_ref)

    own = plgpu.SMEM((WARPGROUPS, WARPGROUP_ROWS, K), q.dtype)
    matrices, numbers = rings((tiles.columns, K), q.dtype, tiles), rings((tiles.columns,), jnp.float32, tiles)
    ready = plgpu.Barrier(num_barriers=WARPGROUPS, num_arrivals=2)
    kernel = launch(
        kernel,
        out_type=(jax.ShapeDtypeStruct(k.shape, k.dtype), jax.ShapeDtypeStruct(v.shape, v.dtype)),
        schedule=schedule,
        scratch=((own, own, ready), matrices, matrices, numbers, numbers, predicate.fact_rings(mask, "q", tiles)),
        interpret=interpret,
    )
    return kernel(q, k, v, dout, log2_sum, delta, q_facts, k_facts, lists)
