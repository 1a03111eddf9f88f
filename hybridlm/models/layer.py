"""One layer as a plain function of its own parameters: attention and feed-forward around a residual stream.

What a query may see is not decided here: `mix` is handed in and answers for it.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from hybridlm.config.model import ModelConfig
from hybridlm.models.norms import norm, rms
from hybridlm.models.rotary import Rotation, rotate

Mix = Callable[..., tuple[Array, Any]]
"""mix(layer, q_BTHK, k_BTJK, v_BTJK, state) -> (out_BTHK, state): q and k arrive normalised and rotated, but not scaled
by 1/sqrt(K). `layer` is a Python int in an unrolled loop and a traced int32 in a scan; `state` is this layer's slice of
an opaque pytree, None in training."""

Constrain = Callable[..., Array]
"""constrain(x, names) -> x: says along which mesh axes x lies, given a name (or None) per dimension of x."""

ACTIVATIONS: dict[str, Callable] = {
    "swiglu": jax.nn.silu,
    "geglu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
    "relu": jax.nn.relu,
    "relu2": lambda x: jnp.square(jax.nn.relu(x)),
}


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
    h_BTD: Float[Array, "B T D"],
    state: Any,
) -> tuple[Float[Array, "B T D"], Any]:
    """The residual stream after this layer, and the layer's new state."""
    before, on_output, after = _placed(config, shared, params["attention_norm"])
    a_BTD, state = _attention(config, shared, number, params["attention"], before(h_BTD), state)
    if config.parallel_residual:
        f_BTD = _ffn(config, shared, params["ffn"], norm(config, params["ffn_norm"], h_BTD, shared.time_BTE))
        return shared.constrain(h_BTD + a_BTD + f_BTD, ("batch", "token", "model")), state
    h_BTD = shared.constrain(after(h_BTD + on_output(a_BTD)), ("batch", "token", "model"))
    before, on_output, after = _placed(config, shared, params["ffn_norm"])
    f_BTD = _ffn(config, shared, params["ffn"], before(h_BTD))
    return shared.constrain(after(h_BTD + on_output(f_BTD)), ("batch", "token", "model")), state


def _placed(config: ModelConfig, shared: Shared, params: Mapping[str, Array]) -> list[Callable]:
    """The norm at its place among (before the branch, on its output, after the sum); elsewhere nothing happens."""

    def normed(x_BTD):
        return norm(config, params, x_BTD, shared.time_BTE)

    return [normed if config.norm_placement == place else lambda x: x for place in ("pre", "output", "post")]


def _attention(config, shared, number, params, x_BTD, state):
    q_BTHK, k_BTJK, v_BTJK = _heads(config, params, x_BTD)
    q_BTHK = shared.constrain(rotate(q_BTHK, shared.rotation), ("batch", "token", "head", None))
    k_BTJK = shared.constrain(rotate(k_BTJK, shared.rotation), ("batch", "token", "kv_head", None))
    v_BTJK = shared.constrain(v_BTJK, ("batch", "token", "kv_head", None))
    out_BTHK, state = shared.mix(number, q_BTHK, k_BTJK, v_BTJK, state)
    return _project("bthk,hkd->btd", out_BTHK, params, "out"), state


def _heads(config, params, x_BTD):
    """Queries, keys and values out of the fused projection (R query heads share one key/value head)."""
    qkv_BTJRK = _project("btd,djrk->btjrk", x_BTD, params, "qkv")
    q_BTJRK, k_BTJRK, v_BTJRK = lax.split(qkv_BTJRK, (qkv_BTJRK.shape[3] - 2, 1, 1), axis=3)
    k_BTJK, v_BTJK = jnp.squeeze(k_BTJRK, 3), jnp.squeeze(v_BTJRK, 3)
    if config.qk_norm != "none":
        q_BTJRK = _qk_norm(config, q_BTJRK, params["query_norm"])
        k_BTJK = _qk_norm(config, k_BTJK, params["key_norm"])
    return q_BTJRK.reshape(*x_BTD.shape[:2], config.heads, config.key_width), k_BTJK, v_BTJK


def _qk_norm(config, x, scale):
    axes = (-1,) if config.qk_norm == "head" else tuple(range(2, x.ndim))
    return rms(x, scale, config.norm_eps, axes)


def _ffn(config, shared, params, x_BTD):
    up_BTCF = shared.constrain(_project("btd,dcf->btcf", x_BTD, params, "up"), ("batch", "token", None, "ffn"))
    first_BTF, *gated = jnp.unstack(up_BTCF, axis=2)
    inner_BTF = ACTIVATIONS[config.activation](first_BTF)
    if gated:
        inner_BTF = inner_BTF * gated[0]
    return _project("btf,fd->btd", inner_BTF, params, "down")


def _project(pattern, x, params, name):
    """The product with the named kernel in the dtype of x, plus its bias where it has one."""
    out = jnp.einsum(pattern, x, params[name].astype(x.dtype))
    bias = params.get(f"{name}_bias")
    return out if bias is None else out + bias.astype(x.dtype)
