"""Which pairs a mask shows, a bit a pair: evaluated once per batch for all layers, heads and kernels.

A kernel that reads bits holds no mask, and takes two instructions a pair whatever the mask costs. Of long rows they
would be too many: there the kernels read the expression (`predicate.py`).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

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
    lying = Side(rows, 1), Side(columns, 2)
    seen = evaluate(mask, *(lying if of_rows == "q" else reversed(lying)))
    seen = jnp.broadcast_to(seen, (max(B, columns.shape[0]), C, R)).reshape(-1, C // BITS, BITS, R)
    bits = jnp.where(seen, jnp.uint32(1) << jnp.arange(BITS, dtype=jnp.uint32)[:, None], jnp.uint32(0))
    return lax.bitcast_convert_type(lax.reduce(bits, jnp.uint32(0), lax.bitwise_or, (2,)), jnp.int32)


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
