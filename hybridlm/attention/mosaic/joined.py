"""The gradient of a layer's one projection to queries, keys and values, written by the kernels where it belongs.

The projection is [B, T, J, R, K]: of each key head J the queries that share it, then its key and its value. Queries and
keys are rotated before attention (2104.09864), so their gradients are turned back, in registers. Apart, dq, dk and dv
would be read and written once more, by what turns and joins them.
"""

from collections.abc import Sequence
from typing import Any

from jax import Array, lax
from jax.experimental.pallas import mosaic_gpu as plgpu

from hybridlm.attention.mosaic.tiles import BLOCK_ROWS

Rotation = tuple[Array, Array]
"""Cosine and sine of each pair's angle [#B, T, K / 2], float32; a pair is (x[i], x[i + K / 2])."""


def fits(projection_BTJRK: Array, rotation: Rotation | None) -> bool:
    """Can the kernels write this gradient: do blocks divide the rows, and do all numbers of a head rotate, or none?"""
    T, K = projection_BTJRK.shape[1], projection_BTJRK.shape[-1]
    return T % BLOCK_ROWS == 0 and (rotation is None or 2 * rotation[0].shape[-1] == K)


def turned_back(gradient: Array, rotation: Sequence[Any], batch: Array, rows: Any) -> Array:
    """The gradient before rotation, of rows in registers; rotation: where cosines and sines are, or nothing."""
    if not rotation:
        return gradient
    cos, sin = (
        plgpu.load(ref.at[0 if ref.shape[0] == 1 else batch, rows], layout=plgpu.Layout.WGMMA, optimized=False)
        for ref in rotation
    )
    half = gradient.shape[1] // 2
    first, second = gradient[:, :half], gradient[:, half:]
    return lax.concatenate([first * cos + second * sin, second * cos - first * sin], 1)


def shape(q: Array, k: Array) -> tuple[int, ...]:
    """The shape of the projection of these queries and keys."""
    (B, T, H, K), J = q.shape, k.shape[2]
    return B, T, J, H // J + 2, K
