"""The kernel of `odds`, written with Mosaic GPU: a matrix product whose tiles become odds before they leave registers.

Pairs of thread blocks walk over tiles of tokens x ids. A pair shares its tokens, of which each block brings half and
hands it to both, and each block has ids of its own. Two warpgroups of a block multiply and exponentiate half of the
tokens each; a third brings hidden states and the head's rows.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from hybridlm.scoring.odds import DEPTH, IDS, TOKENS, WORST

PAIR, WARPGROUPS = 2, 2
OWN_TOKENS = TOKENS // WARPGROUPS
STAGES = 3
"""How many slices of DEPTH are in shared memory at once."""
STRIP = 8
"""Pairs of blocks of ids that are walked over side by side, so that what they share is still in the cache."""
_ROWS, _COLUMNS = (plgpu.Layout.WGMMA.reduce(axis) for axis in (1, 0))


def make(tiles: tuple[int, int], width: int, interpret: Any) -> Callable:
    """The kernel for so many blocks of ids and of tokens: it gives odds [N, V] and their sums [blocks of ids, N]."""
    blocks, groups = tiles
    pairs = pl.cdiv(blocks, PAIR)
    N, V = groups * TOKENS, blocks * IDS

    def kernel(hidden, head, bias, targets, target_logit, odds, sums, odds_smem):
        warpgroup, member = jax.lax.axis_index("warpgroup"), jax.lax.axis_index("pair")
        product = functools.partial(
            plgpu.emit_pipeline_warp_specialized,
            grid=(width // DEPTH,),
            memory_registers=40,
            in_specs=[
                plgpu.BlockSpec((TOKENS, DEPTH), lambda k: (0, k), collective_axes=("pair",)),
                plgpu.BlockSpec((IDS, DEPTH), lambda k: (0, k)),
            ],
            wg_axis="warpgroup",
            num_compute_wgs=WARPGROUPS,
            max_concurrent_steps=STAGES,
        )

        def walk(allocations):
            @plgpu.nd_loop((pairs * groups,), collective_axes="pairs")
            def _tile(loop):
                two, group = plgpu.planar_snake(loop.index[0], (pairs, groups), 0, STRIP)
                # the last pair of an odd number of blocks does the same one twice
                block = jnp.minimum(two * PAIR + member, blocks - 1)
                tokens, ids = pl.ds(group * TOKENS, TOKENS), pl.ds(block * IDS, IDS)
                own = pl.ds(group * TOKENS + warpgroup * OWN_TOKENS, OWN_TOKENS)

                def compute(multiply):
                    z = pl.run_scoped(functools.partial(_result, multiply), plgpu.ACC((OWN_TOKENS, IDS), jnp.float32))
                    e = _odds(z, bias.at[ids], targets.at[own], target_logit.at[own], block * IDS)
                    plgpu.wait_smem_to_gmem(0, wait_read_only=True)
                    sums[block, own] = e.sum(axis=1)
                    odds_smem[warpgroup] = e.astype(jnp.bfloat16)
                    plgpu.commit_smem()
                    plgpu.copy_smem_to_gmem(odds_smem.at[warpgroup], odds.at[own, ids])

                def step(_, hidden_smem, head_smem, acc):
                    plgpu.wgmma(acc, hidden_smem.at[pl.ds(warpgroup * OWN_TOKENS, OWN_TOKENS)], head_smem.T)
                    plgpu.wgmma_wait(0)
                    return acc

                product(step, compute_context=compute)(hidden.at[tokens], head.at[ids], allocations=allocations)

            plgpu.wait_smem_to_gmem(0, wait_read_only=True)

        nothing = product(lambda *_: None, compute_context=lambda *_: None)
        pl.run_scoped(walk, nothing.get_allocations(hidden, head), collective_axes="warpgroup")

    return plgpu.kernel(
        kernel,
        out_type=(jax.ShapeDtypeStruct((N, V), jnp.bfloat16), jax.ShapeDtypeStruct((blocks, N), jnp.float32)),
        grid=(min(_processors() // PAIR, pairs * groups),),
        grid_names=("pairs",),
        cluster=(PAIR,),
        cluster_names=("pair",),
        num_threads=WARPGROUPS + 1,
        thread_name="warpgroup",
        scratch_types=(plgpu.SMEM((WARPGROUPS, OWN_TOKENS, IDS), jnp.bfloat16),),
        compiler_params=plgpu.CompilerParams(approx_math=True),
        interpret=interpret,
    )


def _result(multiply, acc):
    multiply(acc)
    return acc[...]


def _odds(z, bias, targets, target_logit, first):
    """A tile of logits as odds; those of a target against itself are left out."""

    def along(axis, vector):
        return jax.lax.broadcast_in_dim(vector, z.shape, [axis])

    def rows(ref):
        return along(0, plgpu.load(ref, layout=_ROWS, optimized=False))

    id_ = along(1, plgpu.broadcasted_iota(jnp.int32, (IDS,), 0, layout=_COLUMNS) + first)
    more = z + along(1, plgpu.load(bias, layout=_COLUMNS, optimized=False)) - rows(target_logit)
    e = jnp.exp(jnp.where(more > WORST, WORST, more))  # a comparison lets NaN through, where a minimum may not
    return jnp.where(id_ == rows(targets), 0.0, e)


def _processors() -> int:
    """How many thread blocks run at once; where there is no GPU to ask, an H100's."""
    return getattr(jax.devices()[0], "core_count", 132)
