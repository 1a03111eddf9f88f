"""Every row has noise of its own, so that what is written in it does not depend on the other rows of the batch."""

import jax
from jaxtyping import Array, Float, Int, Key

from hybridlm.config.sampling import Choice
from hybridlm.sampling.choose import draw

Keys = Key[Array, "B"]


def folded(keys_B: Keys, number: Int[Array, ""] | int) -> Keys:
    """The rows' keys for one step."""
    return jax.vmap(jax.random.fold_in, (0, None))(keys_B, number)


def split(keys_B: Keys) -> tuple[Keys, Keys]:
    """Two keys of each."""
    keys_B2 = jax.vmap(jax.random.split)(keys_B)
    return keys_B2[:, 0], keys_B2[:, 1]


def uniform(keys_B: Keys, tokens: int) -> Float[Array, "B T"]:
    """A number in [0, 1) for every token."""
    return jax.vmap(lambda key: jax.random.uniform(key, (tokens,)))(keys_B)


def drawn(keys_B: Keys, logits_BTV: Float[Array, "B T V"], choice: Choice) -> Int[Array, "B T"]:
    """A token for every place."""
    return jax.vmap(lambda key, logits_TV: draw(key, logits_TV, choice))(keys_B, logits_BTV)
