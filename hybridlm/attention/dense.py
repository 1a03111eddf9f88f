"""The reference: every score is computed, and hidden ones are dropped before the sum.

It runs anywhere and takes every mask; all other backends are tested against it.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from hybridlm.attention.request import Request
from hybridlm.facts.tokens import TokenFacts
from hybridlm.masks import Mask, materialize

NAME = "dense"


def refusal(request: Request) -> str | None:
    """The reference takes every request."""
    return None


def prepare(mask: Mask, q_facts: TokenFacts, k_facts: TokenFacts | None) -> Bool[Array, "B T S"]:
    """The dense mask, made once for all layers."""
    return materialize(mask, q_facts, k_facts)


def attend(
    sees_BTS: Bool[Array, "#B T S"],
    q_BTHK: Float[Array, "B T H K"],
    k_BSJK: Float[Array, "B S J K"],
    v_BSJK: Float[Array, "B S J K"],
    scale: float,
) -> Float[Array, "B T H K"]:
    """softmax(scale q·k over the visible keys)·v; a query that sees nothing gets zeros, and gradients of zero."""
    out = jax.nn.dot_product_attention(
        q_BTHK, k_BSJK, v_BSJK, mask=sees_BTS[:, None], scale=scale, implementation="xla"
    )
    return jnp.where(sees_BTS.any(-1)[..., None, None], out, 0)
