"""out = softmax(scale q·k)·v over the visible blocks, in one pass with a running maximum (2205.14135, 2407.08608).

While one warpgroup multiplies, the other takes exponentials: they pass a turn back and forth.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from hybridlm.attention.block_lists import BlockLists
from hybridlm.attention.mosaic import predicate
from hybridlm.attention.mosaic.predicate import ROWS, spread
from hybridlm.attention.mosaic.schedule import Schedule
from hybridlm.attention.mosaic.sight import Pairs, Sight
from hybridlm.attention.mosaic.stream import Stream, launch, ring, run
from hybridlm.attention.mosaic.tiles import BLOCK_ROWS, LOG2_E, WARPGROUP_ROWS, WARPGROUPS, Tiles

_LOWEST = -1e30
"""Below every score, yet finite, so that a row that sees nothing has a sum of 0 and never a NaN."""
_OF_A_QUAD = 8
"""Columns next to each other, two in each of four threads."""


@functools.partial(jax.jit, static_argnames=("pairs", "scale", "tiles", "interpret"))  # lowered once for all layers
def forward(
    q: Array,
    k: Array,
    v: Array,
    sight: Sight,
    lists: BlockLists,
    *,
    pairs: Pairs,
    scale: float,
    tiles: Tiles,
    interpret: Any = None,
) -> tuple[Array, Array]:
    """(out [B, T, H, K], log-sum-exp in nats [B, H, T]); a query that sees nothing gets 0 and minus infinity."""
    B, T, H, K = q.shape
    group = H // k.shape[2]
    schedule = Schedule(H, T // BLOCK_ROWS, B, tiles, (k.nbytes + v.nbytes) // (B * H))
    to_log2 = scale * LOG2_E

    def kernel(q_ref, k_ref, v_ref, sight_ref, work_ref, out_ref, lse_ref, *scratch):
        rows, (out_smem, lse_smem, turn), keys, marks, values = scratch
        (q_smem, *q_facts_smem), q_ready, q_free = rows
        (k_smem,), k_ready, k_free = keys
        marks_smem, marks_ready, marks_free = marks
        (v_smem,), v_ready, v_free = values
        end_turn, await_turn = (functools.partial(f, turn) for f in (plgpu.barrier_arrive, plgpu.barrier_wait))

        def skip_turn():
            await_turn()
            end_turn()

        def compute(warpgroup, each):
            end_turn()
            pl.when(warpgroup == 1)(skip_turn)
            each(functools.partial(attend, warpgroup))
            pl.when(warpgroup == 0)(skip_turn)
            await_turn()

        def attend(warpgroup, tile):
            batch, head, rows = tile.batch, tile.head, tile.rows(warpgroup)
            q_tile, out_tile, lse_tile = q_smem.at[warpgroup], out_smem.at[warpgroup], lse_smem.at[warpgroup]
            plgpu.barrier_wait(q_ready.at[warpgroup])
            view = pairs.view(tile, warpgroup, q_facts_smem)
            pl.when(tile.total > 0)(lambda: plgpu.barrier_wait(k_ready.at[tile.slot(0)]))
            await_turn()

            def free_queries():
                plgpu.barrier_arrive(q_free.at[warpgroup])

            pl.when(tile.total == 0)(free_queries)

            def step_of(step, carry, *, is_partial):
                acc, highest, normaliser = carry
                slot = tile.slot(step)

                def scores(ref):
                    plgpu.wgmma(ref, q_tile, k_smem.at[slot].T)
                    end_turn()
                    await_turn()
                    return ref[...]

                s = pl.run_scoped(scores, plgpu.ACC((WARPGROUP_ROWS, tiles.columns), jnp.float32))
                plgpu.barrier_arrive(k_free.at[slot])
                pl.when(step + 1 == tile.total)(free_queries)  # those of the next tile may come
                if is_partial:
                    plgpu.barrier_wait(marks_ready.at[slot])
                    s = view.hide(s, -jnp.inf, [mark.at[slot] for mark in marks_smem], pl.ds(0, tiles.columns))
                    plgpu.barrier_arrive(marks_free.at[slot])
                higher = jnp.maximum(highest, _folded(s, jnp.maximum).max(axis=1) * to_log2)
                p = jnp.exp2(s * to_log2 - spread(higher, s.shape, ROWS))
                shrink = jnp.exp2(highest - higher)
                acc *= spread(shrink, acc.shape, ROWS)
                normaliser = normaliser * shrink + _folded(p, jnp.add).sum(axis=1)
                weights = p.astype(q.dtype)
                # the exponentials are to be done before the turn is passed, not moved behind it
                acc, higher, normaliser, weights = lax.optimization_barrier((acc, higher, normaliser, weights))
                end_turn()
                plgpu.barrier_wait(v_ready.at[slot])
                await_turn()

                def await_next_keys():
                    is_next = step + 1 < tile.total
                    pl.when(is_next)(lambda: plgpu.barrier_wait(k_ready.at[tile.slot(step + 1)]))

                acc = add_product(acc, weights, v_smem.at[slot], await_next_keys)
                plgpu.barrier_arrive(v_free.at[slot])
                return acc, higher, normaliser

            row_layout = predicate.ALONG[ROWS]
            carry = (
                plgpu.layout_cast(jnp.zeros((WARPGROUP_ROWS, K), jnp.float32), plgpu.Layout.WGMMA),
                plgpu.layout_cast(jnp.full((WARPGROUP_ROWS,), _LOWEST, jnp.float32), row_layout),
                plgpu.layout_cast(jnp.zeros((WARPGROUP_ROWS,), jnp.float32), row_layout),
            )
            carry = lax.fori_loop(0, tile.full, functools.partial(step_of, is_partial=False), carry)
            carry = lax.fori_loop(tile.full, tile.total, functools.partial(step_of, is_partial=True), carry)
            acc, highest, normaliser = carry
            end_turn()
            plgpu.wait_smem_to_gmem(0, wait_read_only=True)
            lse_tile[...] = (highest + jnp.log2(normaliser)) * (1 / LOG2_E)
            share = 1 / jnp.maximum(normaliser, jnp.finfo(jnp.float32).tiny)
            out_tile[...] = (acc * spread(share, acc.shape, ROWS)).astype(q.dtype)
            plgpu.commit_smem()
            plgpu.copy_smem_to_gmem(out_tile, out_ref.at[batch, rows, head])
            plgpu.copy_smem_to_gmem(lse_tile, lse_ref.at[batch, head, rows])

        def of_rows(tile, warpgroup):
            block = tile.rows(warpgroup)
            return q_ref.at[tile.batch, block, tile.head], *(ref.at[tile.row, block] for ref in sight_ref.rows)

        def keys_of(tile, step):
            return (k_ref.at[tile.batch, tile.columns(step), lax.div(tile.head, group)],)

        def values_of(tile, step):
            return (v_ref.at[tile.batch, tile.columns(step), lax.div(tile.head, group)],)

        marks_of = functools.partial(pairs.marks, sight_ref)
        streams = [Stream(keys_of, *keys), Stream(marks_of, *marks, of_masked=True), Stream(values_of, *values)]
        run(compute, Stream(of_rows, *rows), streams, schedule, work_ref)

    own_matrix, matrix = (((length, K), q.dtype) for length in (WARPGROUP_ROWS, tiles.columns))
    rows = ring(WARPGROUPS, own_matrix, *pairs.row_arrays(WARPGROUP_ROWS), readers=1)
    keys, values = ring(tiles.stages, matrix), ring(tiles.stages, matrix)
    marks = ring(tiles.stages, *pairs.mark_arrays(tiles.columns))
    found = (
        plgpu.SMEM((WARPGROUPS, WARPGROUP_ROWS, K), q.dtype),
        plgpu.SMEM((WARPGROUPS, WARPGROUP_ROWS), jnp.float32),
        plgpu.Barrier(num_arrivals=WARPGROUPS),
    )
    out_type = (jax.ShapeDtypeStruct(q.shape, q.dtype), jax.ShapeDtypeStruct((B, H, T), jnp.float32))
    kernel = launch(
        kernel,
        out_type=out_type,
        schedule=schedule,
        scratch=(rows, found, keys, marks, values),
        interpret=interpret,
    )
    return kernel(q, k, v, sight, schedule.work(lists))


def _folded(tile: Array, join: Callable) -> Array:
    """Columns joined with those half a tile further on, until a thread has two of each row.

    What reduces a row takes one number after the other, and each waits for the one before.
    """
    while (half := tile.shape[1] // 2) >= _OF_A_QUAD:
        tile = join(tile[:, :half], tile[:, half:])
    return tile


def add_product(acc: Array, left: Array, right: Any, meanwhile: Any) -> Array:
    """acc + left·right, with something else to do while the tensor cores are busy."""

    def multiply(ref):
        plgpu.wgmma(ref, left, right)
        meanwhile()

    return pl.run_state(multiply)(plgpu.ACC.init(acc))
