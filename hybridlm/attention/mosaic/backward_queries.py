"""The gradient of the queries: dq = scale ∑ₖ p (dout·v − delta) k, with p = exp(scale q·k − lse) computed anew."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from hybridlm.attention.block_lists import BlockLists
from hybridlm.attention.mosaic import predicate
from hybridlm.attention.mosaic.predicate import ROWS, spread
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
def query_gradient(
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
) -> Array:
    """dq [B, T, H, K]; `log2_sum` is the log-sum-exp in bits, plus infinity for a query that sees nothing."""
    B, T, H, K = q.shape
    group = H // k.shape[2]
    schedule = Schedule(H, T // BLOCK_ROWS, B, tiles)
    score_tile = plgpu.ACC((WARPGROUP_ROWS, tiles.columns), jnp.float32)

    def kernel(
        q_ref, k_ref, v_ref, dout_ref, sum_ref, delta_ref, q_facts_ref, k_facts_ref, lists_ref, dq_ref, *scratch
    ):
        (q_smem, dout_smem, own_ready), (k_smem, k_ready, k_free), (v_smem, v_ready, v_free), facts = scratch

        def block(tile, step):
            return pl.ds(tile.column(step) * tiles.columns, tiles.columns)

        def compute(warpgroup, each):
            each(functools.partial(gradient, warpgroup))

        def gradient(warpgroup, tile):
            batch, head, rows = tile.batch, tile.head, tile.rows(warpgroup)
            q_tile, dout_tile, ready = q_smem.at[warpgroup], dout_smem.at[warpgroup], own_ready.at[warpgroup]
            plgpu.copy_gmem_to_smem(q_ref.at[batch, rows, head], q_tile, ready)
            plgpu.copy_gmem_to_smem(dout_ref.at[batch, rows, head], dout_tile, ready)
            queries = predicate.of_rows(mask, "q", q_facts_ref, tile.row, rows)
            log2_sum = predicate.vector(sum_ref.at[batch, head, rows], ROWS)
            delta = predicate.vector(delta_ref.at[batch, head, rows], ROWS)
            plgpu.barrier_wait(ready)

            def step_of(step, _, dq_ref, *, is_partial):
                slot = tile.slot(step)

                def score_gradient(s_ref, dp_ref):
                    plgpu.barrier_wait(k_ready.at[slot])
                    plgpu.wgmma(s_ref, q_tile, k_smem.at[slot].T)
                    plgpu.barrier_wait(v_ready.at[slot])
                    plgpu.wgmma(dp_ref, dout_tile, v_smem.at[slot].T)
                    s = plgpu.wgmma_accumulator_load(s_ref, wait_n=1)
                    p = jnp.exp2(s * (scale * LOG2_E) - spread(log2_sum, s.shape, ROWS))
                    if is_partial:
                        p = predicate.hide(mask, p, 0.0, queries, key_facts, slot, own_side="q")
                    return p, dp_ref[...]

                p, dp = pl.run_scoped(score_gradient, score_tile, score_tile)
                plgpu.barrier_arrive(v_free.at[slot])
                ds = p * (dp - spread(delta, p.shape, ROWS))
                plgpu.wgmma(dq_ref, ds.astype(q.dtype), k_smem.at[slot])
                plgpu.wgmma_wait(0)
                plgpu.barrier_arrive(k_free.at[slot])

            def accumulate(dq_ref):
                lax.fori_loop(0, tile.full, functools.partial(step_of, dq_ref=dq_ref, is_partial=False), None)
                lax.fori_loop(tile.full, tile.total, functools.partial(step_of, dq_ref=dq_ref, is_partial=True), None)
                return dq_ref[...]

            dq = pl.run_scoped(accumulate, plgpu.ACC((WARPGROUP_ROWS, K), jnp.float32))
            q_tile[...] = (dq * scale).astype(q.dtype)
            plgpu.commit_smem()
            plgpu.copy_smem_to_gmem(q_tile, dq_ref.at[batch, rows, head])
            plgpu.wait_smem_to_gmem(0, wait_read_only=True)

        def source(ref, tile, step):
            return ref.at[tile.batch, block(tile, step), lax.div(tile.head, group)]

        keys = Stream(functools.partial(source, k_ref), k_smem, k_ready, k_free)
        values = Stream(functools.partial(source, v_ref), v_smem, v_ready, v_free)
        key_facts = predicate.fact_streams(k_facts_ref, facts, block)
        run(compute, [keys, values, *key_facts], schedule, lists_ref)

    own = plgpu.SMEM((WARPGROUPS, WARPGROUP_ROWS, K), q.dtype)
    ring = rings((tiles.columns, K), q.dtype, tiles)
    ready = plgpu.Barrier(num_barriers=WARPGROUPS, num_arrivals=2)
    kernel = launch(
        kernel,
        out_type=jax.ShapeDtypeStruct(q.shape, q.dtype),
        schedule=schedule,
        scratch=((own, own, ready), ring, ring, predicate.fact_rings(mask, "k", tiles)),
        interpret=interpret,
    )
    return kernel(q, k, v, dout, log2_sum, delta, q_facts, k_facts, lists)
