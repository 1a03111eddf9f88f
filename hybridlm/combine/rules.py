"""Two distributions as one, given the share g of the first; log-probabilities in and out.

linear:      p = g p_a + (1 − g) p_b                 (linear pool, Stone 1961)
log-linear:  p ∝ p_a^g p_b^(1−g)                     (product of experts, Hinton 2002; APD, 2506.00413)

A closed gate, g = 0 or 1, gives one of the two to the last bit, and ids that neither predicts keep probability 0.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hybridlm.facts.head import NEVER


def linear(
    logp_a_NV: Float[Array, "*N V"], logp_b_NV: Float[Array, "*N V"], share_N: Float[Array, "*N"]
) -> Float[Array, "*N V"]:
    """The weighted mean of probabilities."""
    return jnp.logaddexp(_log(share_N)[..., None] + logp_a_NV, _log(1 - share_N)[..., None] + logp_b_NV)


def log_linear(
    logp_a_NV: Float[Array, "*N V"], logp_b_NV: Float[Array, "*N V"], share_N: Float[Array, "*N"]
) -> Float[Array, "*N V"]:
    """The weighted mean of log-probabilities, renormalised."""
    share_N1 = share_N[..., None]
    mixed_NV = normalised(share_N1 * logp_a_NV + (1 - share_N1) * logp_b_NV)
    return jnp.where(share_N1 == 1, logp_a_NV, jnp.where(share_N1 == 0, logp_b_NV, mixed_NV))


RULES = {"linear": linear, "log_linear": log_linear}


def normalised(logits_NV: Float[Array, "*N V"]) -> Float[Array, "*N V"]:
    """Finite log-probabilities of logits; probability 0 is NEVER, so that neither values nor gradients turn NaN."""
    return jnp.maximum(jax.nn.log_softmax(jnp.maximum(logits_NV, NEVER), axis=-1), NEVER)


def _log(share_N):
    """log g, and NEVER with gradient 0 at g = 0."""
    return jnp.where(share_N > 0, jnp.log(jnp.where(share_N > 0, share_N, 1)), NEVER)
