"""One layer as a plain function of its own parameters: attention and feed-forward around a residual stream.

What a query may see is not decided here: `mix` is handed in and answers for it.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from hybridlm.config.model import ModelConfig
from hybridlm.models import norm_gradient, products
from hybridlm.models.activations import ACTIVATIONS, gated
from hybridlm.models.norms import norm, rms
from hybridlm.models.rotary import Rotation, rotate

Mix = Callable[..., tuple[Array, Any]]
"""mix(layer, q_BTHK, k_BTJK, v_BTJK, state) -> (out_BTHK, state): q and k arrive normalised and rotated, but not scaled
by 1/sqrt(K). `layer` is a Python int in an unrolled loop and a traced int32 in a scan; `state` is this layer's slice of
an opaque pytree, None in training.

A mix may have of_projection(qkv_BTJRK, rotation, heads_of) -> out_BTHK: attention of the queries, keys and values that
heads_of(qkv, rotation) makes, with a gradient of its own for the fused projection; None where it has none."""

Constrain = Callable[..., Array]
"""constrain(x, names) -> x: says along which mesh axes x lies, given a name (or None) per dimension of x."""


@dataclasses.dataclass(frozen=True)
class Shared:
    """What every layer is given alike: rotary angles, time features, and the two functions handed to the model."""

    rotation: Rotation | None
    time_BTE: Float[Array, "B T E"] | None
    mix: Mix
    constrain: Constrain


def layer(
    config: ModelConfig,
    shared: Shared,
    number: int | Int[Array, ""],
    params: Mapping[str, Any],
    x_BTD: Float[Array, "B T D"],
    state: Any,
    first: int = 0,
) -> tuple[Float[Array, "B U D"], Any]:
    """The residual stream after this layer, from token `first` on, and the layer's new state.

    Keys and values of the tokens before are made and seen, and attention is whole; what follows it leaves them out.
    """
    read, add = _branch(config, shared, params["attention_norm"], x_BTD, x_BTD)
    out_BTHK, state = _attention(config, shared, number, params["attention"], read, state)
    h_BTD = add("bthk,hkd->btd", out_BTHK[:, first:], params["attention"], "out")
    source_BTD = x_BTD[:, first:] if config.parallel_residual else h_BTD
    read, add = _branch(config, shared, params["ffn_norm"], source_BTD, h_BTD)
    return _ffn(config, shared, params["ffn"], read, add), state


def _branch(
    config: ModelConfig, shared: Shared, norm_params: Mapping[str, Array], source_BTD: Array, stream_BTD: Array
) -> tuple[Callable, Callable]:
    """How a branch reads its source and adds to the stream, with the norm at its place: before the branch ("pre"), on
    its output, or after the sum ("post"). What is added may be of the last tokens alone."""
    place = config.norm_placement
    beside_BTD = None
    if stream_BTD is source_BTD and norm_gradient.suits(config, norm_params, source_BTD, shared.constrain):
        given = source_BTD, norm_params["scale"], config.norm_eps, shared.constrain
        stream_BTD, beside_BTD = norm_gradient.beside(*given)

    def normed(x_BTD):
        return norm(config, norm_params, x_BTD, shared.time_BTE)

    def read(pattern, params, name):
        if beside_BTD is not None:
            return products.project(pattern, beside_BTD, params, name)
        if place == "pre":
            return products.read(config, norm_params, source_BTD, shared.time_BTE, pattern, params, name)
        return products.project(pattern, source_BTD, params, name)

    def add(pattern, x, params, name):
        h_BTD = stream_BTD[:, -x.shape[1] :]
        if place == "output":
            h_BTD = h_BTD + normed(products.project(pattern, x, params, name))
        else:
            h_BTD = products.add(h_BTD, pattern, x, params, name)
        return shared.constrain(normed(h_BTD) if place == "post" else h_BTD, ("batch", "token", "model"))

    return read, add


def _attention(config, shared, number, params, read, state):
    qkv_BTJRK = read("btd,djrk->btjrk", params, "qkv")
    of_projection = getattr(shared.mix, "of_projection", None)
    if of_projection and config.qk_norm == "none":
        out_BTHK = of_projection(qkv_BTJRK, shared.rotation, functools.partial(_heads, config, None))
        if out_BTHK is not None:
            return out_BTHK, state
    q_BTHK, k_BTJK, v_BTJK = _heads(config, params, qkv_BTJRK, shared.rotation)
    q_BTHK = shared.constrain(q_BTHK, ("batch", "token", "head", None))
    k_BTJK, v_BTJK = (shared.constrain(x, ("batch", "token", "kv_head", None)) for x in (k_BTJK, v_BTJK))
    return shared.mix(number, q_BTHK, k_BTJK, v_BTJK, state)


def _heads(config, params, qkv_BTJRK, rotation):
    """Queries, keys and values out of the fused projection (R query heads share one key/value head), rotated."""
    q_BTJRK, k_BTJRK, v_BTJRK = lax.split(qkv_BTJRK, (qkv_BTJRK.shape[3] - 2, 1, 1), axis=3)
    k_BTJK, v_BTJK = jnp.squeeze(k_BTJRK, 3), jnp.squeeze(v_BTJRK, 3)
    if config.qk_norm != "none":
        q_BTJRK = _qk_norm(config, q_BTJRK, params["query_norm"])
        k_BTJK = _qk_norm(config, k_BTJK, params["key_norm"])
    q_BTHK = q_BTJRK.reshape(*q_BTJRK.shape[:2], -1, config.key_width)
    return rotate(q_BTHK, rotation), rotate(k_BTJK, rotation), v_BTJK


def _qk_norm(config, x, scale):
    axes = (-1,) if config.qk_norm == "head" else tuple(range(2, x.ndim))
    return rms(x, scale, config.norm_eps, axes)


def _ffn(config, shared, params, read, add):
    up_BTCF = shared.constrain(read("btd,dcf->btcf", params, "up"), ("batch", "token", None, "ffn"))
    inner_BTF = gated(config.activation, up_BTCF) if config.gated else ACTIVATIONS[config.activation](up_BTCF[:, :, 0])
    return add("btf,fd->btd", inner_BTF, params, "down")
