"""What is known of a token's distribution once part of the vocabulary was seen; parts join in any order.

With m the largest logit of a part: Σ e^(z−m), Σ e^(z−m)(z−m) and Σ e^2(z−m) give log-sum-exp, entropy and Σ p² of the
whole, by the rescaling of online softmax (Milakov & Gimelshein 2018); order statistics and counts join as they are.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from hybridlm.facts.head import NEVER

NOBODY = 2**30
"""The id of the best of no logits; larger than every vocabulary id."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Seen:
    """Reductions over a part of the vocabulary, float32 and int32.

    Attributes:
      largest: m, the largest logit. second: the next largest; equal to m where two ids share it.
      best_id: the id of the largest logit, the lowest of those that share it.
      mass: Σ e^(z−m). weighted: Σ e^(z−m)(z−m). squares: Σ e^2(z−m).
      target_logit: the logit of the target, NEVER while it was not seen. better: how many ids beat the target.
    """

    largest: Float[Array, "*N"]
    second: Float[Array, "*N"]
    best_id: Int[Array, "*N"]
    mass: Float[Array, "*N"]
    weighted: Float[Array, "*N"]
    squares: Float[Array, "*N"]
    target_logit: Float[Array, "*N"]
    better: Int[Array, "*N"]


def nothing(shape: tuple[int, ...]) -> Seen:
    """Before any logit was seen."""
    lowest, zero, nobody = jnp.full(shape, NEVER), jnp.zeros(shape), jnp.full(shape, NOBODY, jnp.int32)
    return Seen(lowest, lowest, nobody, zero, zero, zero, lowest, jnp.zeros(shape, jnp.int32))


def single(
    logits: Float[Array, "*N"], ids: Int[Array, "*N"], is_target: Bool[Array, "*N"], is_better: Bool[Array, "*N"]
) -> Seen:
    """One logit each."""
    one, lowest = jnp.ones(logits.shape), jnp.full(logits.shape, NEVER)
    target_logit = jnp.where(is_target, logits, NEVER)
    return Seen(logits, lowest, ids, one, jnp.zeros_like(one), one, target_logit, is_better.astype(jnp.int32))


def joined(a: Seen, b: Seen) -> Seen:
    """Two parts as one: associative, and commutative too."""
    is_a = (a.largest > b.largest) | ((a.largest == b.largest) & (a.best_id < b.best_id))
    largest, smaller = jnp.maximum(a.largest, b.largest), jnp.minimum(a.largest, b.largest)
    exp, one = jnp.exp(smaller - largest), jnp.ones_like(largest)
    scale_a, scale_b = jnp.where(is_a, one, exp), jnp.where(is_a, exp, one)
    return Seen(
        largest=largest,
        second=jnp.maximum(smaller, jnp.where(is_a, a.second, b.second)),
        best_id=jnp.where(is_a, a.best_id, b.best_id),
        mass=scale_a * a.mass + scale_b * b.mass,
        weighted=scale_a * (a.weighted + (a.largest - largest) * a.mass)
        + scale_b * (b.weighted + (b.largest - largest) * b.mass),
        squares=scale_a * scale_a * a.squares + scale_b * scale_b * b.squares,
        target_logit=jnp.maximum(a.target_logit, b.target_logit),
        better=a.better + b.better,
    )


def over(seen: Seen, axis: int) -> Seen:
    """The parts along an axis as one, in a single reduction, so that no part is read twice."""
    start, tree = jax.tree.flatten(nothing(()))

    def join(a, b):
        return tuple(jax.tree.leaves(joined(jax.tree.unflatten(tree, a), jax.tree.unflatten(tree, b))))

    return jax.tree.unflatten(
        tree, jax.lax.reduce(tuple(jax.tree.leaves(seen)), tuple(start), join, (axis % seen.mass.ndim,))
    )
