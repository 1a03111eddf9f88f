"""Which pairs a mask shows, a bit a pair: evaluated once per batch for all layers, heads and kernels.

A kernel that reads bits holds no mask, and takes two instructions a pair whatever the mask costs. Of long rows they
would be too many: there the kernels read the expression (`predicate.py`).
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import Slice
from jax.experimental.pallas import mosaic_gpu as plgpu
from jaxtyping import Array, Int32

from hybridlm.attention.mosaic.predicate import COLUMNS, ROWS, spread, vector
from hybridlm.attention.mosaic.sight import Sight
from hybridlm.attention.mosaic.tiles import BLOCK_ROWS, WARPGROUP_ROWS, Tile
from hybridlm.facts.tokens import TokenFacts
from hybridlm.masks.evaluate_dense import Side, evaluate
from hybridlm.masks.mask import Mask

BITS = 32
"""Columns of a word."""


def words(mask: Mask, q_facts: TokenFacts, k_facts: TokenFacts, of_rows: str) -> Int32[Array, "B C R"]:
    """Bit c of word w of a row tells of column 32·w + c: may the query of the two see the key?

    of_rows: whose tokens lie along rows, "q" or "k"; the others lie along columns.
    """
    rows, columns = (q_facts, k_facts) if of_rows == "q" else (k_facts, q_facts)
    (B, R), C = rows.shape, columns.shape[1]

    def bit(number):
        sides = Side(rows, 1), _Strided(columns, number)
        seen = evaluate(mask, *(sides if of_rows == "q" else reversed(sides)))
        return jnp.where(seen, jnp.uint32(1 << number), jnp.uint32(0))

    # a word in a thread, which XLA makes of no reduction
    bits = functools.reduce(jnp.bitwise_or, map(bit, range(BITS)))
    bits = jnp.broadcast_to(bits, (max(B, columns.shape[0]), C // BITS, R))
    return lax.bitcast_convert_type(bits, jnp.int32)


class _Strided(Side):
    """Every 32nd token along columns, from one on."""

    def __init__(self, facts: TokenFacts, first: int):
        super().__init__(jax.tree.map(lambda column_BT: column_BT[:, first::BITS], facts), 2)
        self.slot = first + BITS * self.slot


@dataclasses.dataclass(frozen=True)
class ByWords:
    """Pairs told apart by bits in memory."""

    def row_arrays(self, length: int) -> list[tuple]:
        """Nothing: a word tells of a row and of columns."""
        return []

    def mark_arrays(self, columns: int) -> list[tuple]:
        """The words of so many columns, of all rows of a tile."""
        return [((columns // BITS, BLOCK_ROWS), jnp.int32)]

    def marks(self, sight: Sight, tile: Tile, step: Any) -> tuple:
        """The words of a step."""
        columns, first = tile.columns(step), tile.index * BLOCK_ROWS
        numbers = pl.ds(lax.div(columns.start, BITS), columns.size // BITS)
        return (sight.words.at[tile.row, numbers, pl.ds(first, BLOCK_ROWS)],)

    def view(self, tile: Tile, warpgroup: Any, slots: Sequence) -> "_View":
        """The rows of a warpgroup."""
        return _View(pl.ds(warpgroup * WARPGROUP_ROWS, WARPGROUP_ROWS))


@dataclasses.dataclass(frozen=True)
class _View:
    rows: Slice

    def hide(self, values: Array, instead: float, marks: Sequence, part: Slice) -> Array:
        """A tile with something else where the bit of a pair is 0."""
        (words,) = marks
        numbers = range(part.start // BITS, (part.start + part.size) // BITS)
        *others, chosen = (spread(vector(words.at[number, self.rows], ROWS), values.shape, ROWS) for number in numbers)
        column = plgpu.broadcasted_iota(jnp.int32, values.shape, COLUMNS, layout=plgpu.Layout.WGMMA)
        # which word is known for each register, and the compiler finds out
        for number in reversed(range(len(others))):
            chosen = jnp.where(column < BITS * (number + 1), others[number], chosen)
        bit = lax.shift_left(jnp.ones_like(column), column & (BITS - 1))
        return jnp.where((chosen & bit) != 0, values, instead)
