"""Rotary positions (Su et al. 2021): pairs of numbers of queries and keys turn by an angle proportional to position.

Pair i of w rotating numbers is (x[i], x[i + w/2]), the half-split convention of Llama and GPT-NeoX, and turns by
position · base^(-2i/w); numbers beyond w pass unchanged.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from hybridlm.config.model import ModelConfig

Rotation = tuple[Float[Array, "#B T W"], Float[Array, "#B T W"]]
"""Cosine and sine of every angle, float32; one row serves all where the facts of every row agree."""


def rotation(config: ModelConfig, position_BT: Int[Array, "B T"]) -> Rotation | None:
    """The angles of these positions, or None where the model rotates nothing."""
    width = config.rotary_width
    if config.positions != "rotary" or width == 0:
        return None
    frequency_W = config.rotary_base ** (-jnp.arange(0, width, 2, dtype=jnp.float32) / width)
    angle_BTW = position_BT[..., None] * frequency_W
    return jnp.cos(angle_BTW), jnp.sin(angle_BTW)


def rotate(x_BTHK: Float[Array, "B T H K"], turn: Rotation | None) -> Float[Array, "B T H K"]:
    """Turns the first numbers of every head, in float32, and returns the dtype of x."""
    if turn is None:
        return x_BTHK
    cos, sin = (part[:, :, None] for part in turn)
    half = cos.shape[-1]
    first, second, rest = lax.split(x_BTHK, (half, half, x_BTHK.shape[-1] - 2 * half), axis=3)
    turned = (first * cos - second * sin, second * cos + first * sin)
    return jnp.concatenate([part.astype(x_BTHK.dtype) for part in turned] + [rest], axis=3)
