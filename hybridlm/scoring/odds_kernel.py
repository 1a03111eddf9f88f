"""The kernel of `odds`, written with Mosaic GPU: a matrix product whose tiles become odds before they leave registers.

Pairs of thread blocks walk over tiles of tokens x ids. Two warpgroups of each multiply and exponentiate their own
tokens; a third brings hidden states, and half of the head's rows each, which it hands to both blocks of the pair.
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
BLOCK_TOKENS = TOKENS // PAIR
OWN_TOKENS = BLOCK_TOKENS // WARPGROUPS
STAGES = 3
"""How many slices of DEPTH are in shared memory at once."""
_ROWS, _COLUMNS = (plgpu.Layout.WGMMA.reduce(axis) for axis in (1, 0))


def make(tiles: tuple[int, int], width: int, interpret: Any) -> Callable:
    """The kernel for so many blocks of ids and of tokens: it gives odds [N, V] and their sums [blocks of ids, N]."""
    blocks, groups = tiles
    N, V = groups * TOKENS, blocks * IDS

    def kernel(hidden, head, bias, targets, target_logit, odds, sums, odds_smem, sums_smem):
        warpgroup, member = jax.lax.axis_index("warpgroup"), jax.lax.axis_index("pair")
        product = functools.partial(
            plgpu.emit_pipeline_warp_specialized,
            grid=(width // DEPTH,),
            memory_registers=40,
            in_specs=[
                plgpu.BlockSpec((BLOCK_TOKENS, DEPTH), lambda k: (0, k)),
                plgpu.BlockSpec((IDS, DEPTH), lambda k: (0, k), collective_axes=("pair",)),
            ],
            wg_axis="warpgroup",
            num_compute_wgs=WARPGROUPS,
            max_concurrent_steps=STAGES,
        )

        def walk(allocations):
            @plgpu.nd_loop((blocks, groups), collective_axes="pairs")
            def _tile(loop):
                block, group = loop.index
                first = group * TOKENS + member * BLOCK_TOKENS
                own, ids = pl.ds(first + warpgroup * OWN_TOKENS, OWN_TOKENS), pl.ds(block * IDS, IDS)

                def compute(multiply):
                    z = pl.run_scoped(functools.partial(_result, multiply), plgpu.ACC((OWN_TOKENS, IDS), jnp.float32))
                    e = _odds(z, bias.at[ids], targets.at[own], target_logit.at[own], block * IDS)
                    plgpu.wait_smem_to_gmem(0, wait_read_only=True)
                    odds_smem[warpgroup] = e.astype(jnp.bfloat16)
                    sums_smem[warpgroup] = e.sum(axis=1)
                    plgpu.commit_smem()
                    plgpu.copy_smem_to_gmem(odds_smem.at[warpgroup], odds.at[own, ids])
                    plgpu.copy_smem_to_gmem(sums_smem.at[warpgroup], sums.at[block, own])

                def step(_, hidden_smem, head_smem, acc):
                    plgpu.wgmma(acc, hidden_smem.at[pl.ds(warpgroup * OWN_TOKENS, OWN_TOKENS)], head_smem.T)
                    plgpu.wgmma_wait(0)
                    return acc

                tokens = pl.ds(first, BLOCK_TOKENS)
                product(step, compute_context=compute)(hidden.at[tokens], head.at[ids], allocations=allocations)

            plgpu.wait_smem_to_gmem(0, wait_read_only=True)

        nothing = product(lambda *_: None, compute_context=lambda *_: None)
        pl.run_scoped(walk, nothing.get_allocations(hidden, head), collective_axes="warpgroup")

    return plgpu.kernel(
        kernel,
        out_type=(jax.ShapeDtypeStruct((N, V), jnp.bfloat16), jax.ShapeDtypeStruct((blocks, N), jnp.float32)),
        grid=(min(_processors() // PAIR, blocks * groups),),
        grid_names=("pairs",),
        cluster=(PAIR,),
        cluster_names=("pair",),
        num_threads=WARPGROUPS + 1,
        thread_name="warpgroup",
        scratch_types=(
            plgpu.SMEM((WARPGROUPS, OWN_TOKENS, IDS), jnp.bfloat16),
            plgpu.SMEM((WARPGROUPS, OWN_TOKENS), jnp.float32),
        ),
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
