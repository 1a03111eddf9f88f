"""out = softmax(scale q·k)·v over the visible blocks, in one pass with a running maximum (2205.14135, 2407.08608).

While one warpgroup multiplies, the other takes exponentials: they pass a turn back and forth.
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
from hybridlm.attention.mosaic.predicate import COLUMNS, ROWS, spread
from hybridlm.attention.mosaic.tiles import (
    BLOCK_ROWS,
    LOG2_E,
    WARPGROUP_ROWS,
    WARPGROUPS,
    Stream,
    Tiles,
    launch,
    rings,
    run,
    work,
)
from hybridlm.masks.mask import Mask

_LOWEST = -1e30
"""Below every score, yet finite, so that a row that sees nothing has a sum of 0 and never a NaN."""


@functools.partial(jax.jit, static_argnames=("mask", "scale", "tiles", "interpret"))  # lowered once for all layers
def forward(
    q: Array,
    k: Array,
    v: Array,
    q_facts: tuple[Array, ...],
    k_facts: tuple[Array, ...],
    lists: BlockLists,
    *,
    mask: Mask,
    scale: float,
    tiles: Tiles,
    interpret: Any = None,
) -> tuple[Array, Array]:
    """(out [B, T, H, K], log-sum-exp in nats [B, H, T]); a query that sees nothing gets 0 and minus infinity."""
    B, T, H, K = q.shape
    group = H // k.shape[2]
    names = {side: predicate.names(mask, side) for side in "qk"}
    to_log2 = scale * LOG2_E

    def kernel(q_ref, k_ref, v_ref, q_facts_ref, k_facts_ref, lists_ref, out_ref, lse_ref, *scratch):
        (q_smem, q_ready, lse_smem, turn), (k_smem, k_ready, k_free), (v_smem, v_ready, v_free) = scratch
        batch, head = lax.axis_index("batch"), lax.axis_index("head")
        row, tile, full, total, column = work(lists_ref, batch)

        def block(step):
            return pl.ds(column(step) * tiles.columns, tiles.columns)

        def end_turn():
            plgpu.barrier_arrive(turn)

        def await_turn():
            plgpu.barrier_wait(turn)

        def pass_turn():
            end_turn()
            await_turn()

        def compute(warpgroup):
            rows = pl.ds(tile * BLOCK_ROWS + warpgroup * WARPGROUP_ROWS, WARPGROUP_ROWS)
            q_tile, lse_tile = q_smem.at[warpgroup], lse_smem.at[warpgroup]
            plgpu.copy_gmem_to_smem(q_ref.at[batch, rows, head], q_tile, q_ready.at[warpgroup])
            queries = {n: predicate.vector(ref.at[row, rows], ROWS) for n, ref in zip(names["q"], q_facts_ref)}
            plgpu.barrier_wait(q_ready.at[warpgroup])
            pl.when(total > 0)(lambda: plgpu.barrier_wait(k_ready.at[0]))
            pl.when(warpgroup == 1)(pass_turn)

            def step_of(step, carry, *, is_partial):
                acc, highest, normaliser = carry
                slot = lax.rem(step, tiles.stages)

                def scores(ref):
                    plgpu.wgmma(ref, q_tile, k_smem.at[slot].T)
                    pass_turn()
                    facts = zip(names["k"], k_facts_ref) if is_partial else ()
                    keys = {n: predicate.vector(fact.at[row, block(step)], COLUMNS) for n, fact in facts}
                    return ref[...], keys

                s, keys = pl.run_scoped(scores, plgpu.ACC((WARPGROUP_ROWS, tiles.columns), jnp.float32))
                plgpu.barrier_arrive(k_free.at[slot])
                if is_partial:
                    s = predicate.hide(mask, s, queries, keys, query_axis=ROWS)
                higher = jnp.maximum(highest, s.max(axis=1) * to_log2)
                p = jnp.exp2(s * to_log2 - spread(higher, s.shape, ROWS))
                shrink = jnp.exp2(highest - higher)
                acc *= spread(shrink, acc.shape, ROWS)
                normaliser = normaliser * shrink + p.sum(axis=1)
                weights = p.astype(q.dtype)
                # the exponentials are to be done before the turn is passed, not moved behind it
                acc, higher, normaliser, weights = lax.optimization_barrier((acc, higher, normaliser, weights))
                end_turn()
                plgpu.barrier_wait(v_ready.at[slot])
                await_turn()

                def await_next_keys():
                    is_next = step + 1 < total
                    pl.when(is_next)(lambda: plgpu.barrier_wait(k_ready.at[lax.rem(step + 1, tiles.stages)]))

                acc = add_product(acc, weights, v_smem.at[slot], await_next_keys)
                plgpu.barrier_arrive(v_free.at[slot])
                return acc, higher, normaliser

            row_layout = predicate.ALONG[ROWS]
            carry = (
                plgpu.layout_cast(jnp.zeros((WARPGROUP_ROWS, K), jnp.float32), plgpu.Layout.WGMMA),
                plgpu.layout_cast(jnp.full((WARPGROUP_ROWS,), _LOWEST, jnp.float32), row_layout),
                plgpu.layout_cast(jnp.zeros((WARPGROUP_ROWS,), jnp.float32), row_layout),
            )
            carry = lax.fori_loop(0, full, functools.partial(step_of, is_partial=False), carry)
            acc, highest, normaliser = lax.fori_loop(full, total, functools.partial(step_of, is_partial=True), carry)
            pl.when(warpgroup == 0)(pass_turn)
            lse_tile[...] = (highest + jnp.log2(normaliser)) * (1 / LOG2_E)
            share = 1 / jnp.maximum(normaliser, jnp.finfo(jnp.float32).tiny)
            q_tile[...] = (acc * spread(share, acc.shape, ROWS)).astype(q.dtype)
            plgpu.commit_smem()
            plgpu.copy_smem_to_gmem(q_tile, out_ref.at[batch, rows, head])
            plgpu.copy_smem_to_gmem(lse_tile, lse_ref.at[batch, head, rows])
            plgpu.wait_smem_to_gmem(0, wait_read_only=True)

        kv_head = lax.div(head, group)
        keys = Stream(lambda step: k_ref.at[batch, block(step), kv_head], k_smem, k_ready, k_free)
        values = Stream(lambda step: v_ref.at[batch, block(step), kv_head], v_smem, v_ready, v_free)
        run(compute, [keys, values], total)

    own = (
        plgpu.SMEM((WARPGROUPS, WARPGROUP_ROWS, K), q.dtype),
        plgpu.Barrier(num_barriers=WARPGROUPS),
        plgpu.SMEM((WARPGROUPS, WARPGROUP_ROWS), jnp.float32),
        plgpu.Barrier(num_arrivals=WARPGROUPS),
    )
    ring = rings((tiles.columns, K), q.dtype, tiles)
    out_type = (jax.ShapeDtypeStruct(q.shape, q.dtype), jax.ShapeDtypeStruct((B, H, T), jnp.float32))
    kernel = launch(
        kernel,
        out_type=out_type,
        heads=H,
        row_blocks=T // BLOCK_ROWS,
        batch=B,
        scratch=(own, ring, ring),
        interpret=interpret,
    )
    return kernel(q, k, v, q_facts, k_facts, lists)


def add_product(acc: Array, left: Array, right: Any, meanwhile: Any) -> Array:
    """acc + left·right, with something else to do while the tensor cores are busy."""

    def multiply(ref):
        plgpu.wgmma(ref, left, right)
        meanwhile()

    return pl.run_state(multiply)(plgpu.ACC.init(acc))
