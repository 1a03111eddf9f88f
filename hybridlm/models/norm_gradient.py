"""RMSNorm beside the residual stream it reads, whose gradient is one pass over memory: a kernel for Hopper GPUs.

The stream h goes into a norm and on to the sum after the branch. With d its gradient there, g that of the normed stream
times the scale and r = (mean h² + eps)^(-1/2), its whole gradient is d + r (g − h r² mean(g h)). XLA reads h and g for
the mean and once more for the rest; here a row stays in the registers of one warpgroup.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, BFloat16, Float

from hybridlm.config.model import ModelConfig
from hybridlm.facts import devices

THREADS = 128
ROWS, WIDEST = 4, 2304
"""Rows that a thread block reads at once, and their width at most: more would not fit registers."""


def suits(
    config: ModelConfig,
    norm_params: Mapping[str, Array],
    h_BTD: Float[Array, "B T D"],
    constrain: Callable[..., Array],
) -> bool:
    """Can the kernel take the gradient of this norm, before a branch that reads this stream?"""
    (B, T, D), shards = h_BTD.shape, devices.count(constrain)
    return (
        config.norm_placement == "pre"
        and config.norm == "rms"
        and norm_params.keys() == {"scale"}
        and not devices.obstacle(constrain)
        and (h_BTD.dtype, norm_params["scale"].dtype) == (jnp.bfloat16, jnp.float32)
        and not (B % shards or B // shards * T % ROWS or D % (2 * THREADS))
        and D <= WIDEST
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def beside(
    h_BTD: BFloat16[Array, "B T D"],
    scale_D: Float[Array, "D"],
    eps: float,
    constrain: Callable[..., Array],
    interpret: Any = None,
) -> tuple[BFloat16[Array, "B T D"], BFloat16[Array, "B T D"]]:
    """(the stream, the stream normed)."""
    return _forward(h_BTD, scale_D, eps, constrain, interpret)[0]


def _forward(h_BTD, scale_D, eps, constrain, interpret):
    x_BTD = h_BTD.astype(jnp.float32)
    r_BT = lax.rsqrt(jnp.mean(jnp.square(x_BTD), -1) + eps)
    normed_BTD = (x_BTD * r_BT[..., None] * scale_D).astype(h_BTD.dtype)
    return (h_BTD, normed_BTD), (h_BTD, scale_D, r_BT)


def _backward(eps, constrain, interpret, kept, gradients):
    h_BTD, scale_D, r_BT = kept
    dh_BTD, dscale_ZD = _through(scale_D, h_BTD, *gradients, r_BT, constrain, interpret)
    return dh_BTD, dscale_ZD.sum(0)


beside.defvjp(_forward, _backward)


@functools.partial(jax.jit, static_argnums=(5, 6))  # traced and compiled once for all layers
def _through(scale_D, h_BTD, stream_BTD, normed_BTD, r_BT, constrain, interpret):
    each = devices.on_each(constrain, functools.partial(_on_one, interpret))
    return each(scale_D, h_BTD, stream_BTD, normed_BTD, r_BT)


def _on_one(interpret, scale_D, *columns):
    """The gradients of the stream and, in one row, of the scale."""
    h_ND, stream_ND, normed_ND, r_N = (x.reshape(-1, *x.shape[2:]) for x in columns)
    dh_ND, dscale_XD = _kernel(*h_ND.shape, interpret)(h_ND, stream_ND, normed_ND, r_N, scale_D)
    return dh_ND.reshape(columns[0].shape), dscale_XD.sum(0, keepdims=True)


def _kernel(rows, width, interpret):
    """The kernel: it gives the gradient [N, D] of the stream, and that of the scale as one part per thread block."""
    from jax.experimental.pallas import mosaic_gpu as plgpu  # takes a second, which only those who run it pay

    blocks = min(_at_once(width) * _processors(), rows // ROWS)
    vector = max(n for n in (8, 4, 2, 1) if width % (n * THREADS) == 0)
    layout = plgpu.Layout.WG_STRIDED((width,), vec_size=vector)

    def kernel(h, stream, normed, r, scale, dh, dscale):
        block = lax.axis_index("block")

        def load(ref):
            return plgpu.load(ref, layout=layout, optimized=False)

        scale_D = load(scale)

        def some(number, dscale_D):
            first = (number * blocks + block) * ROWS
            # all rows are asked for before the first is waited for
            taken = [(n, r[n], *(load(x.at[n]) for x in (h, stream, normed))) for n in (first + k for k in range(ROWS))]
            for row, root, *given in taken:
                x_D, d_D, dn_D = (y.astype(jnp.float32) for y in given)
                g_D = dn_D * scale_D
                share = jnp.sum(g_D * x_D) * (root * root / width)
                dh[row] = (d_D + root * (g_D - x_D * share)).astype(dh.dtype)
                dscale_D = dscale_D + dn_D * x_D * root
            return dscale_D

        turns = lax.div(rows // ROWS - block + blocks - 1, blocks)
        nothing_D = plgpu.layout_cast(jnp.zeros((width,), jnp.float32), layout)
        dscale[block] = lax.fori_loop(0, turns, some, nothing_D)

    return plgpu.kernel(
        kernel,
        out_type=(
            jax.ShapeDtypeStruct((rows, width), jnp.bfloat16),
            jax.ShapeDtypeStruct((blocks, width), jnp.float32),
        ),
        grid=(blocks,),
        grid_names=("block",),
        interpret=interpret,
    )


def _at_once(width):
    """How many thread blocks a processor has registers for, by those that compiled kernels use."""
    return 65_536 // THREADS // min(255, 32 + width // 8)


def _processors() -> int:
    """How many processors share the rows; where there is no GPU to ask, an H100's."""
    return getattr(jax.devices()[0], "core_count", 132)
