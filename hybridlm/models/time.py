"""How the network learns the time of a diffusion step: sinusoids of each token's noise level through a small MLP.

The noise level may differ per token, so the features are narrow: a layer pays 4 D TIME_WIDTH multiplications per token
for its two norms, little beside the 12 D² of its own.
"""

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

TIME_WIDTH = 128
"""E, the width of the time features."""

_SCALE = 1000.0
_SLOWEST = 10_000.0


def sinusoids(noise_BT: Float[Array, "B T"]) -> Float[Array, "B T E"]:
    """Cosines and sines of 1000 t at frequencies from 1 down to 1/10,000."""
    half = TIME_WIDTH // 2
    frequency_W = jnp.exp(-math.log(_SLOWEST) * jnp.arange(half, dtype=jnp.float32) / half)
    angle_BTW = _SCALE * noise_BT.astype(jnp.float32)[..., None] * frequency_W
    return jnp.concatenate([jnp.cos(angle_BTW), jnp.sin(angle_BTW)], axis=-1)


def features(params: Mapping[str, Array], noise_BT: Float[Array, "B T"]) -> Float[Array, "B T E"]:
    """Time features in float32: two dense layers, each followed by SiLU."""
    hidden_BTE = jax.nn.silu(sinusoids(noise_BT) @ params["first"] + params["first_bias"])
    return jax.nn.silu(hidden_BTE @ params["second"] + params["second_bias"])
