"""Normalisation in float32, whatever the dtype around it: RMSNorm (Zhang & Sennrich 2019), LayerNorm (Ba et al. 2016).

Given the time features c of a diffusion step, a norm's output is further scaled and shifted: y (1 + a(c)) + b(c),
adaptive layer norm as in DiT (Peebles & Xie 2023), with a and b zero at the start of training.
"""

from collections.abc import Mapping

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from hybridlm.config.model import ModelConfig


def rms(x: Float[Array, "..."], scale: Float[Array, "..."], eps: float, axes: tuple[int, ...]) -> Float[Array, "..."]:
    """x / sqrt(mean(x²) + eps) · scale over the given axes, in the dtype of x."""
    wide = x.astype(jnp.float32)
    wide = wide * lax.rsqrt(jnp.mean(jnp.square(wide), axes, keepdims=True) + eps)
    return (wide * scale).astype(x.dtype)


def norm(
    config: ModelConfig,
    params: Mapping[str, Array],
    x_BTD: Float[Array, "B T D"],
    time_BTE: Float[Array, "B S E"] | None = None,
) -> Float[Array, "B T D"]:
    """The configured norm over D, modulated where it has weights for that by the time features of the row, whose last
    tokens x holds."""
    y_BTD = x_BTD.astype(jnp.float32)
    if config.norm == "layer":
        y_BTD = y_BTD - jnp.mean(y_BTD, -1, keepdims=True)
    y_BTD = rms(y_BTD, params["scale"], config.norm_eps, (-1,))
    if "bias" in params:
        y_BTD = y_BTD + params["bias"]
    if time_BTE is not None and "time" in params:
        kernel_EcD = params["time"].astype(time_BTE.dtype)
        time_BTE = time_BTE[:, -x_BTD.shape[1] :]
        scale_BTD, shift_BTD = jnp.unstack(jnp.einsum("bte,ecd->btcd", time_BTE, kernel_EcD), axis=2)
        y_BTD = y_BTD * (1 + scale_BTD.astype(jnp.float32)) + shift_BTD
    return y_BTD.astype(x_BTD.dtype)
