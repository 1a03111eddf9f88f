"""A mask inside a kernel: its expression read on tiles of facts, in the registers where the scores are."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array, lax
from jax.experimental.pallas import Slice
from jax.experimental.pallas import mosaic_gpu as plgpu

from hybridlm.attention.mosaic.sight import Sight
from hybridlm.attention.mosaic.tiles import Tile
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


@dataclasses.dataclass(frozen=True)
class ByFacts:
    """Pairs told apart by the mask's expression; of_rows: whose facts lie along rows, "q" or "k"."""

    mask: Mask
    of_rows: str

    @property
    def of_columns(self) -> str:
        return "qk".replace(self.of_rows, "")

    def sight(self, q_facts: TokenFacts, k_facts: TokenFacts) -> Sight:
        """What the expression reads of these tokens."""
        found = {"q": columns(self.mask, "q", q_facts), "k": columns(self.mask, "k", k_facts)}
        return Sight(found[self.of_rows], found[self.of_columns])

    def row_arrays(self, length: int) -> list[tuple]:
        """What the facts of so many rows take in shared memory."""
        return [((length,), jnp.int32)] * len(names(self.mask, self.of_rows))

    def mark_arrays(self, columns: int) -> list[tuple]:
        """Likewise of columns, which only a step with something to hide needs."""
        return [((columns,), jnp.int32)] * len(names(self.mask, self.of_columns))

    def marks(self, sight: Sight, tile: Tile, step: Any) -> tuple:
        """The facts of the columns of a step."""
        return tuple(ref.at[tile.row, tile.columns(step)] for ref in sight.columns)

    def view(self, tile: Tile, warpgroup: Any, slots: Sequence) -> "_View":
        """The rows of a warpgroup, whose facts are in these slots."""
        found = names(self.mask, self.of_rows)
        return _View(self, {name: vector(slot.at[warpgroup], ROWS) for name, slot in zip(found, slots)})


@dataclasses.dataclass(frozen=True)
class _View:
    by: ByFacts
    rows: dict[str, Array]

    def hide(self, values: Array, instead: float, marks: Sequence, part: Slice) -> Array:
        """A tile with something else where the query may not see the key."""
        found = names(self.by.mask, self.by.of_columns)
        columns = {name: vector(slot.at[part], COLUMNS) for name, slot in zip(found, marks)}
        sides = {
            self.by.of_rows: Side(self.rows, values.shape, ROWS),
            self.by.of_columns: Side(columns, values.shape, COLUMNS),
        }
        seen = evaluate(Mask(over_columns(written(self.by.mask.canonical))), **sides)
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
