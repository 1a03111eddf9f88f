"""Gates: from what two predictions say of themselves to the share g of the first, between 0 and 1.

Each reads a `Context`, which knows nothing of the target, and the numbers of a `Combination`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hybridlm.combine import own_gate
from hybridlm.combine.context import Context
from hybridlm.config.combination import FEATURES, Combination
from hybridlm.config.errors import require

Gate = Callable[[Context, Combination], Float[Array, "*N"]]


def constant(context: Context, numbers: Combination) -> Float[Array, "*N"]:
    """The same everywhere."""
    return jnp.full_like(context.entropy_a, numbers.share)


def confidence(context: Context, numbers: Combination) -> Float[Array, "*N"]:
    """c_a^s / (c_a^s + c_b^s): the share of the expert whose likeliest token is likelier."""
    return jax.nn.sigmoid(numbers.sharpness * (jnp.log(context.confidence_a) - jnp.log(context.confidence_b)))


def entropy(context: Context, numbers: Combination) -> Float[Array, "*N"]:
    """e^(-s H_a) / (e^(-s H_a) + e^(-s H_b))."""
    return jax.nn.sigmoid(numbers.sharpness * (context.entropy_b - context.entropy_a))


def expected_frequency(context: Context, numbers: Combination) -> Float[Array, "*N"]:
    """The first expert where it expects common tokens: a logistic of E_a[log f]."""
    return jax.nn.sigmoid(numbers.sharpness * (context.log_frequency_a - numbers.threshold))


def least_entropy(context: Context, numbers: Combination) -> Float[Array, "*N"]:
    """1 where the first expert is at least as sure as the second, else 0: a hard switch per token."""
    return (context.entropy_a <= context.entropy_b).astype(jnp.float32)


def refine(context: Context, numbers: Combination) -> Float[Array, "*N"]:
    """1 where the first expert's confidence reaches the threshold; below it the second refines the prediction."""
    return jnp.where(context.confidence_a >= numbers.threshold, 1.0, numbers.share)


def learned(context: Context, weights_F: Float[Array, "F"]) -> Float[Array, "*N"]:
    """A logistic of all features (Jacobs et al. 1991); the first weight is the bias."""
    return jax.nn.sigmoid(weights_F[0] + context.features @ weights_F[1:])


def _learned(context: Context, numbers: Combination) -> Float[Array, "*N"]:
    require(
        len(numbers.weights) == 1 + len(FEATURES),
        "combination.gate='learned' has no weights yet; fit them on held-out text "
        "(hybridlm.evaluation.combined_fit.fit) or give combination.weights.",
    )
    return learned(context, jnp.asarray(numbers.weights))


GATES: dict[str, Gate] = {
    "constant": constant,
    "confidence": confidence,
    "entropy": entropy,
    "expected_frequency": expected_frequency,
    "learned": _learned,
    "least_entropy": least_entropy,
    "refine": refine,
}


def gate(name: str) -> Gate:
    """A gate by its name, or a user's own by its import path "package.module:function"; that one takes a `Context`."""
    if name in GATES:
        return GATES[name]
    own = own_gate.imported(name)
    return lambda context, numbers: own(context)
