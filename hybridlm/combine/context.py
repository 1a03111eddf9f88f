"""What is known of a token before it comes: features of two predictions, and nothing else.

This record is all that a gate is given, so a gate cannot read the target.
"""

import dataclasses
from typing import no_type_check

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hybridlm.config.combination import FEATURES

FIELDS = (*FEATURES, "features")
"""Names of what a gate may read."""


@no_type_check  # trees of its shapes exist too
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Context:
    """Of the first (a) and the second (b) prediction.

    Attributes:
      entropy: -Σ p log p, in nats. confidence: the probability of the likeliest id. log_frequency: Σ p log f, the log
        frequency that a token drawn from the prediction has on average.
    """

    entropy_a: Float[Array, "*N"]
    entropy_b: Float[Array, "*N"]
    confidence_a: Float[Array, "*N"]
    confidence_b: Float[Array, "*N"]
    log_frequency_a: Float[Array, "*N"]
    log_frequency_b: Float[Array, "*N"]

    @property
    def features(self) -> Float[Array, "*N F"]:
        """All of them, in the order of FEATURES."""
        return jnp.stack([getattr(self, name) for name in FEATURES], axis=-1)


def context(
    logp_a_NV: Float[Array, "*N V"], logp_b_NV: Float[Array, "*N V"], log_frequency_V: Float[Array, "V"]
) -> Context:
    """The features of two predictions, whose impossible ids are finite (`rules.normalised`)."""
    a, b = _features(logp_a_NV, log_frequency_V), _features(logp_b_NV, log_frequency_V)
    return Context(**{f"{name}_a": x for name, x in a.items()}, **{f"{name}_b": x for name, x in b.items()})


def _features(logp_NV, log_frequency_V):
    p_NV = jnp.exp(logp_NV)
    return {
        "entropy": -jnp.sum(p_NV * logp_NV, axis=-1),
        "confidence": p_NV.max(-1),
        "log_frequency": jnp.sum(p_NV * log_frequency_V, axis=-1),
    }
