"""Activations of the feed-forward part; the gradient of a gated one is written out, as one loop over memory.

Gate and value are columns 0 and 1 of one product [B, T, c, F]. Autodiff pads the gradient of each with zeros and adds
them; here every number of the result is chosen from the two that its position has.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

ACTIVATIONS: dict[str, Callable] = {
    "swiglu": jax.nn.silu,
    "geglu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
    "relu": jax.nn.relu,
    "relu2": lambda x: jnp.square(jax.nn.relu(x)),
}


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def gated(activation: str, up_BTcF: Float[Array, "B T 2 F"]) -> Float[Array, "B T F"]:
    """activation(gate) · value, in float32, in the dtype of the product."""
    return _product(activation, *_columns(up_BTcF)).astype(up_BTcF.dtype)


def _forward(activation, up_BTcF):
    return gated(activation, up_BTcF), up_BTcF


def _backward(activation, up_BTcF, gradient_BTF):
    _, pull = jax.vjp(functools.partial(_product, activation), *_columns(up_BTcF))
    gate_BTF, value_BTF = pull(gradient_BTF.astype(jnp.float32))
    is_gate_BTcF = lax.broadcasted_iota(jnp.int32, up_BTcF.shape, 2) == 0
    return (jnp.where(is_gate_BTcF, gate_BTF[:, :, None], value_BTF[:, :, None]).astype(up_BTcF.dtype),)


gated.defvjp(_forward, _backward)


def _columns(up_BTcF):
    return (up_BTcF[:, :, column].astype(jnp.float32) for column in range(2))


def _product(activation, gate_BTF, value_BTF):
    return ACTIVATIONS[activation](gate_BTF) * value_BTF
