"""The reference: every score is computed, in float32, and hidden ones are dropped before the sum.

It runs anywhere and takes every mask; all other backends are tested against it.
"""

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
    B, T, H, K = q_BTHK.shape
    J = k_BSJK.shape[2]
    grouped = q_BTHK.reshape(B, T, J, H // J, K)
    scores = jnp.einsum("btjgk,bsjk->bjgts", grouped, k_BSJK, preferred_element_type=jnp.float32) * scale
    sees = sees_BTS[:, None, None]
    # a hidden score must not set the maximum, and a row without visible keys must stay finite
    highest = jnp.max(scores, -1, keepdims=True, where=sees, initial=-1e30)
    weights = jnp.where(sees, jnp.exp(jnp.where(sees, scores - highest, 0.0)), 0.0)
    total = weights.sum(-1, keepdims=True)
    weights = (weights / jnp.where(total > 0, total, 1.0)).astype(v_BSJK.dtype)
    out = jnp.einsum("bjgts,bsjk->btjgk", weights, v_BSJK, preferred_element_type=jnp.float32)
    return out.reshape(B, T, H, K).astype(q_BTHK.dtype)
