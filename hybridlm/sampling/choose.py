"""From logits to a token: temperature, then top-k, then top-p, then one draw; all in float32.

Noise comes from `jax.random.categorical` with mode "high": the default cannot resolve probabilities below 1e-7, which
lowers the temperature unseen (Zheng et al., arXiv:2409.02908).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from hybridlm.config.sampling import Choice
from hybridlm.facts.head import NEVER


def draw(key: Key[Array, ""], logits: Float[Array, "*N V"], choice: Choice) -> Int[Array, "*N"]:
    """One id per prediction; at temperature 0 the likeliest, of equals the first."""
    if choice.temperature == 0:
        return jnp.argmax(logits, axis=-1).astype(jnp.int32)
    return jax.random.categorical(key, filtered(logits, choice), mode="high").astype(jnp.int32)


def filtered(logits: Float[Array, "*N V"], choice: Choice) -> Float[Array, "*N V"]:
    """Logits of the distribution that `draw` draws from; ids that cannot be drawn are at `NEVER`."""
    logits = logits.astype(jnp.float32)
    if choice.temperature == 0:
        is_first = jnp.arange(logits.shape[-1]) == jnp.argmax(logits, axis=-1, keepdims=True)
        return jnp.where(is_first, 0.0, NEVER)
    logits = logits / choice.temperature
    if choice.top_k or choice.top_p < 1:
        logits = jnp.where(_is_kept(logits, choice), logits, NEVER)
    return logits


def _is_kept(logits: Float[Array, "*N V"], choice: Choice) -> Bool[Array, "*N V"]:
    order = jnp.argsort(logits, axis=-1, descending=True)
    falling = jnp.take_along_axis(logits, order, axis=-1)
    is_kept = jnp.arange(logits.shape[-1]) < (choice.top_k or logits.shape[-1])
    p = jax.nn.softmax(jnp.where(is_kept, falling, NEVER), axis=-1)
    is_kept = is_kept & (jnp.cumsum(p, axis=-1) - p < choice.top_p)
    return jnp.take_along_axis(is_kept, jnp.argsort(order, axis=-1), axis=-1)
