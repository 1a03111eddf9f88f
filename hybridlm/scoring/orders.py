"""Orders in which a chain may reveal tokens: by what the network predicts, never by what the hidden tokens are.

-log p(x) = -Σ_i log p(x_σ(i) | x_σ(1..i-1)) is exact for every σ that a sampler without the text could follow, for then
the order adds no information; an order that looked at hidden tokens would leak them.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

SURENESS = {
    "confidence": lambda scores: scores.confidence,
    "entropy": lambda scores: -scores.entropy,
}
"""How sure a prediction is, by the name of the order; larger goes first."""


def next_in_group(
    sureness_BT: Float[Array, "B T"], group_BT: Int[Array, "B T"], is_hidden_BT: Bool[Array, "B T"]
) -> Bool[Array, "B T"]:
    """The surest hidden token of every group, the first of equals; ids of groups lie in [0, T)."""
    size = group_BT.shape[1]

    def of_row(sureness_T, group_T, is_hidden_T):
        sureness_T = jnp.where(is_hidden_T, sureness_T, -jnp.inf)
        is_surest_T = is_hidden_T & (sureness_T == jax.ops.segment_max(sureness_T, group_T, size)[group_T])
        place_T = jnp.where(is_surest_T, jnp.arange(size), size)
        return is_surest_T & (place_T == jax.ops.segment_min(place_T, group_T, size)[group_T])

    return jax.vmap(of_row)(sureness_BT, group_BT, is_hidden_BT)
