"""The gradient of the queries: dq = scale ∑ₖ p (dout·v − delta) k, with p = exp(scale q·k − lse) computed anew."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from hybridlm.attention.block_lists import BlockLists
from hybridlm.attention.mosaic import joined, predicate
from hybridlm.attention.mosaic.predicate import ROWS, spread
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


# lowered once for all layers
@functools.partial(jax.jit, static_argnames=("pairs", "scale", "tiles", "is_joined", "interpret"))
def query_gradient(
    q: Array,
    k: Array,
    v: Array,
    out: Array,
    dout: Array,
    log2_sum: Array,
    sight: Sight,
    lists: BlockLists,
    rotation: tuple[Array, ...] = (),
    *,
    pairs: Pairs,
    scale: float,
    tiles: Tiles,
    is_joined: bool = False,
    interpret: Any = None,
) -> tuple[Array, Array]:
    """(dq [B, T, H, K], delta = out·dout [B, H, T]).

    `log2_sum` is the log-sum-exp in bits, plus infinity for a query that sees nothing. is_joined: dq lies in a gradient
    of the projection (`joined.py`) whose rest is not written, turned back by `rotation`.
    """
    B, T, H, K = q.shape
    group = H // k.shape[2]
    schedule = Schedule(H, T // BLOCK_ROWS, B, tiles, (k.nbytes + v.nbytes) // (B * H))
    score_tile = plgpu.ACC((WARPGROUP_ROWS, PART), jnp.float32)

    def kernel(*refs):
        q_ref, k_ref, v_ref, out_ref, dout_ref, sum_ref, sight_ref, work_ref, rotation_ref, *refs = refs
        dq_ref, delta_ref, rows, (dq_smem, delta_smem), columns, marks = refs
        (q_smem, out_smem, dout_smem, sum_smem, *q_facts_smem), rows_ready, rows_free = rows
        (k_smem, v_smem), ready, free = columns
        marks_smem, marks_ready, marks_free = marks

        def compute(warpgroup, each):
            each(functools.partial(gradient, warpgroup))

        def gradient(warpgroup, tile):
            q_tile, dout_tile, dq_tile = q_smem.at[warpgroup], dout_smem.at[warpgroup], dq_smem.at[warpgroup]
            plgpu.barrier_wait(rows_ready.at[warpgroup])
            view = pairs.view(tile, warpgroup, q_facts_smem)
            log2_sum = predicate.vector(sum_smem.at[warpgroup], ROWS)
            out, dout = (plgpu.load(ref.at[warpgroup], layout=plgpu.Layout.WGMMA) for ref in (out_smem, dout_smem))
            delta = (out.astype(jnp.float32) * dout.astype(jnp.float32)).sum(axis=1)

            def accumulate(dq_ref):
                def multiply(slot, parts, *products, is_partial):
                    for part, s_ref, dp_ref in zip(parts, products[::2], products[1::2]):
                        plgpu.wgmma(s_ref, q_tile, k_smem.at[slot, part].T)
                        plgpu.wgmma(dp_ref, dout_tile, v_smem.at[slot, part].T)
                    behind = len(products)  # products still under way
                    for part, s_ref, dp_ref in zip(parts, products[::2], products[1::2]):
                        s = plgpu.wgmma_accumulator_load(s_ref, wait_n=behind - 1)
                        p = jnp.exp2(s * (scale * LOG2_E) - spread(log2_sum, s.shape, ROWS))
                        if is_partial:
                            p = view.hide(p, 0.0, [mark.at[slot] for mark in marks_smem], part)
                        dp = plgpu.wgmma_accumulator_load(dp_ref, wait_n=behind - 2)
                        ds = p * (dp - spread(delta, p.shape, ROWS))
                        plgpu.wgmma(dq_ref, ds.astype(q.dtype), k_smem.at[slot, part])
                        behind -= 1

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
                return dq_ref[...]

            dq = pl.run_scoped(accumulate, plgpu.ACC((WARPGROUP_ROWS, K), jnp.float32))
            plgpu.wait_smem_to_gmem(0, wait_read_only=True)
            dq = joined.turned_back(dq * scale, rotation_ref, tile.batch, tile.rows(warpgroup))
            dq_tile[...] = dq.astype(q.dtype)
            delta_smem[warpgroup] = delta
            plgpu.commit_smem()
            head = (lax.div(tile.head, group), lax.rem(tile.head, group)) if is_joined else (tile.head,)
            plgpu.copy_smem_to_gmem(dq_tile, dq_ref.at[tile.batch, tile.rows(warpgroup), *head])
            plgpu.copy_smem_to_gmem(delta_smem.at[warpgroup], delta_ref.at[tile.batch, tile.head, tile.rows(warpgroup)])

        def of_columns(tile, step):
            block, head = tile.columns(step), lax.div(tile.head, group)
            return tuple(ref.at[tile.batch, block, head] for ref in (k_ref, v_ref))

        def of_rows(tile, warpgroup):
            block = tile.rows(warpgroup)
            matrices = (ref.at[tile.batch, block, tile.head] for ref in (q_ref, out_ref, dout_ref))
            return (
                *matrices,
                sum_ref.at[tile.batch, tile.head, block],
                *(ref.at[tile.row, block] for ref in sight_ref.rows),
            )

        marks_of = functools.partial(pairs.marks, sight_ref)
        streams = [Stream(of_columns, *columns), Stream(marks_of, *marks, of_masked=True)]
        run(compute, Stream(of_rows, *rows), streams, schedule, work_ref)

    own, numbers = ((WARPGROUP_ROWS, K), q.dtype), ((WARPGROUP_ROWS,), jnp.float32)
    rows = ring(WARPGROUPS, own, own, own, numbers, *pairs.row_arrays(WARPGROUP_ROWS), readers=1)
    matrix = ((tiles.columns, K), q.dtype)
    columns, marks = ring(tiles.stages, matrix, matrix), ring(tiles.stages, *pairs.mark_arrays(tiles.columns))
    found = tuple(plgpu.SMEM((WARPGROUPS, *shape), dtype) for shape, dtype in (own, numbers))
    kernel = launch(
        kernel,
        out_type=(
            jax.ShapeDtypeStruct(joined.shape(q, k) if is_joined else q.shape, q.dtype),
            jax.ShapeDtypeStruct((B, H, T), jnp.float32),
        ),
        schedule=schedule,
        scratch=(rows, found, columns, marks),
        interpret=interpret,
    )
    return kernel(q, k, v, out, dout, log2_sum, sight, schedule.work(lists), rotation)
