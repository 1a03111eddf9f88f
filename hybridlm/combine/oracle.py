"""The best switch there could be: at every token the expert that happens to be right. It reads the target.

So it is no model. Its values are nats that no switch between the two experts can go below, and they come in a record of
their own, which no score, mean or export of likelihoods accepts.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class NotAModel:
    """Attributes: floor_N: in nats, the lower of the experts' costs. is_first_N: is it the first expert's?"""

    floor_N: Float[Array, "*N"]
    is_first_N: Bool[Array, "*N"]

    def floor(self, is_counted_N: Bool[Array, "*N"]) -> Float[Array, ""]:
        """Nats per counted token that no switch between the two can go below; not the cost of any model."""
        return jnp.where(is_counted_N, self.floor_N, 0).sum() / is_counted_N.sum()


def oracle_switch(nll_a_N: Float[Array, "*N"], nll_b_N: Float[Array, "*N"]) -> NotAModel:
    """The lower of two costs of every token, known only when the token is."""
    return NotAModel(jnp.minimum(nll_a_N, nll_b_N), nll_a_N <= nll_b_N)
