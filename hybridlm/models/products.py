"""Products of a layer's kernels with the residual stream: reading it through a norm, and adding to it.

Many tokens are matrix products. A single one costs what its GPU kernels cost to start, so there each product is one sum
over the kernel. The norm's scale r = (mean x² + eps)^(-1/2) leaves the product, W(r x) = r W x, and its mean square is
one more row of it; the stream that is added to is part of each sum's first term.
"""

from collections.abc import Mapping

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from hybridlm.config.model import ModelConfig
from hybridlm.models.norms import norm


def project(pattern: str, x: Array, params: Mapping[str, Array], name: str) -> Array:
    """The product with the named kernel in the dtype of x, plus its bias where it has one."""
    return _with_bias(jnp.einsum(pattern, x, params[name].astype(x.dtype)), params, name)


def read(
    config: ModelConfig,
    norm_params: Mapping[str, Array],
    h_BTD: Float[Array, "B T D"],
    time_BTE: Float[Array, "B S E"] | None,
    pattern: str,
    params: Mapping[str, Array],
    name: str,
) -> Float[Array, "B T *N"]:
    """The product of the normed stream with a kernel [D, ...]."""
    if _is_one_token(h_BTD) and norm_params.keys() == {"scale"} and config.norm == "rms":
        return _with_bias(_read_one(h_BTD, norm_params["scale"], config.norm_eps, params[name]), params, name)
    return project(pattern, norm(config, norm_params, h_BTD, time_BTE), params, name)


def add(
    h_BTD: Float[Array, "B T D"], pattern: str, x: Float[Array, "B T *N"], params: Mapping[str, Array], name: str
) -> Float[Array, "B T D"]:
    """The stream plus the product of x with a kernel [..., D]."""
    if _is_one_token(h_BTD):
        return _with_bias(_add_one(h_BTD, x, params[name]), params, name)
    return h_BTD + project(pattern, x, params, name)


def _is_one_token(h_BTD):
    return h_BTD.shape[:2] == (1, 1)


def _with_bias(out, params, name):
    bias = params.get(f"{name}_bias")
    return out if bias is None else out + bias.astype(out.dtype)


def _read_one(h_BTD, scale_D, eps, kernel):
    x_D = h_BTD[0, 0].astype(jnp.float32)
    terms_ND = jnp.moveaxis(kernel, 0, -1).reshape(-1, x_D.size) * (x_D * scale_D)
    sums_N = jnp.concatenate([terms_ND, jnp.square(x_D)[None]]).sum(-1)
    out_N = sums_N[:-1] * lax.rsqrt(sums_N[-1] / x_D.size + eps)
    return out_N.reshape(1, 1, *kernel.shape[1:]).astype(h_BTD.dtype)


def _add_one(h_BTD, x, kernel):
    terms_DN = jnp.moveaxis(kernel, -1, 0).reshape(kernel.shape[-1], -1) * x.reshape(-1).astype(jnp.float32)
    is_first_N = jnp.arange(x.size) == 0
    stream_DN = jnp.where(is_first_N, h_BTD[0, 0].astype(jnp.float32)[:, None], 0)
    return (terms_DN + stream_DN).sum(-1).reshape(h_BTD.shape).astype(h_BTD.dtype)
