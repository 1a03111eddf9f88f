"""A mask inside a kernel: its expression read on tiles of facts, in the registers where the scores are."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array, lax
from jax.experimental.pallas import mosaic_gpu as plgpu

from hybridlm.facts.tokens import TokenFacts
from hybridlm.masks.evaluate_dense import evaluate
from hybridlm.masks.expressions import Absolute, Arithmetic, Comparison, Constant, Fact, Joined, Not, show, walk
from hybridlm.masks.mask import Mask

ROWS, COLUMNS = 0, 1
"""Axes of a tile of scores."""

ALONG = {ROWS: plgpu.Layout.WGMMA.reduce(COLUMNS), COLUMNS: plgpu.Layout.WGMMA.reduce(ROWS)}
"""The registers of a vector that lies along one axis of a tile."""


def names(mask: Mask, side: str) -> tuple[str, ...]:
    """The columns the mask reads of queries ("q") or of keys ("k")."""
    nodes = walk(over_columns(written(mask.canonical)))
    return tuple(sorted({node.name for node in nodes if isinstance(node, Fact) and node.side == side}))


def columns(mask: Mask, side: str, facts: TokenFacts) -> tuple[Array, ...]:
    """These columns, once for all blocks: facts, and what is computed of the facts of one side."""
    computed = {show(node): node for node in walk(written(mask.canonical))}

    def column(name):
        return evaluate(Mask(computed[name]), facts, facts) if name in computed else getattr(facts, name)

    return tuple(map(column, names(mask, side)))


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


def along_rows(mask: Mask, side: str, refs: Sequence, *where: Any) -> dict[str, Array]:
    """The facts of a warpgroup's rows, from where they are in each array."""
    return {name: vector(ref.at[where], ROWS) for name, ref in zip(names(mask, side), refs)}


def along_columns(mask: Mask, side: str, refs: Sequence, *where: Any) -> dict[str, Array]:
    """The facts of columns, likewise."""
    return {name: vector(ref.at[where], COLUMNS) for name, ref in zip(names(mask, side), refs)}


def arrays(mask: Mask, side: str, length: int) -> list[tuple]:
    """What the facts of so many tokens take in shared memory."""
    return [((length,), jnp.int32)] * len(names(mask, side))


def hide(mask: Mask, values: Array, instead: float, rows: dict, columns: dict, *, of_rows: str) -> Array:
    """A tile with something else where the query may not see the key; of_rows: which side's facts lie along rows."""
    sides = {of_rows: Side(rows, values.shape, ROWS), "qk".replace(of_rows, ""): Side(columns, values.shape, COLUMNS)}
    seen = evaluate(Mask(over_columns(written(mask.canonical))), **sides)
    if isinstance(seen, bool):
        return values if seen else jnp.full_like(values, instead)
    return jnp.where(seen, values, instead)


def written(term: Any) -> Any:
    """The canonical expression as a tile takes it best.

    (a - b) % n == 0 becomes a % n == b % n, which leaves one comparison per pair. Mosaic has no `not` for tiles of
    booleans, so == is denied as < or >.
    """
    match term:
        case Comparison("==", Arithmetic("%", Arithmetic("-", left, right), modulus), Constant(0)):
            return Comparison("==", Arithmetic("%", left, modulus), Arithmetic("%", right, modulus))
        case Not(Comparison("==") as same):
            same = written(same)
            return Joined("or", (Comparison("<", same.left, same.right), Comparison("<", same.right, same.left)))
        case Joined(op, terms):
            return Joined(op, tuple(map(written, terms)))
    return term


def over_columns(term: Any) -> Any:
    """The expression with every term of one side alone as a column, under the text of the term."""
    match term:
        case Arithmetic() | Absolute() if len(sides := _sides(term)) == 1:
            return Fact(*sides, show(term))
        case Arithmetic(op, left, right) | Comparison(op, left, right):
            return type(term)(op, over_columns(left), over_columns(right))
        case Absolute(inner) | Not(inner):
            return type(term)(over_columns(inner))
        case Joined(op, terms):
            return Joined(op, tuple(map(over_columns, terms)))
    return term


def _sides(term: Any) -> set[str]:
    return {node.side for node in walk(term) if isinstance(node, Fact)}
