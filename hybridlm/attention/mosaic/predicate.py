"""A mask inside a kernel: its expression read on tiles of facts, in the registers where the scores are."""

from typing import Any

import jax.numpy as jnp
from jax import Array, lax
from jax.experimental.pallas import mosaic_gpu as plgpu

from hybridlm.masks.evaluate_dense import evaluate
from hybridlm.masks.expressions import Comparison, Fact, Joined, Not, walk
from hybridlm.masks.mask import Mask

ROWS, COLUMNS = 0, 1
"""Axes of a tile of scores."""

ALONG = {ROWS: plgpu.Layout.WGMMA.reduce(COLUMNS), COLUMNS: plgpu.Layout.WGMMA.reduce(ROWS)}
"""The registers of a vector that lies along one axis of a tile."""


def names(mask: Mask, side: str) -> tuple[str, ...]:
    """The facts the mask reads of queries ("q") or of keys ("k")."""
    return tuple(sorted({node.name for node in walk(mask.canonical) if isinstance(node, Fact) and node.side == side}))


def vector(ref: Any, axis: int) -> Array:
    """A vector from memory into the registers of one axis of a tile."""
    return plgpu.load(ref, layout=ALONG[axis], optimized=False)


def spread(values: Array, shape: tuple[int, int], axis: int) -> Array:
    """A vector along `axis`, repeated over the other."""
    return lax.broadcast_in_dim(values, shape, [axis])


class Side:
    """The queries or the keys of a tile: an attribute is a fact of them, repeated over the other axis."""

    def __init__(self, values: dict[str, Array], shape: tuple[int, int], axis: int):
        self._values, self._shape, self._axis = values, shape, axis

    def __getattr__(self, name: str) -> Array:
        return spread(self._values[name], self._shape, self._axis)


def hide(mask: Mask, scores: Array, queries: dict[str, Array], keys: dict[str, Array], *, query_axis: int) -> Array:
    """The scores, minus infinity where the query may not see the key."""
    q = Side(queries, scores.shape, query_axis)
    k = Side(keys, scores.shape, 1 - query_axis)
    seen = evaluate(Mask(_without_not(mask.canonical)), q, k)
    if isinstance(seen, bool):
        return scores if seen else jnp.full_like(scores, -jnp.inf)
    return jnp.where(seen, scores, -jnp.inf)


def _without_not(term: Any) -> Any:
    """The canonical expression with == denied as < or >, because Mosaic has no `not` for tiles of booleans."""
    match term:
        case Not(Comparison("==", left, right)):
            return Joined("or", (Comparison("<", left, right), Comparison("<", right, left)))
        case Joined(op, terms):
            return Joined(op, tuple(map(_without_not, terms)))
    return term
