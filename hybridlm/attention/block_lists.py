"""Which blocks of a mask a kernel visits, row by row: first those without a hidden pair, then those it must mask.

Made on the device from the classification of `masks.block_map`, once per batch, for all layers.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int, Int8

from hybridlm.facts.tokens import TokenFacts
from hybridlm.masks.evaluate_blocks import EMPTY, FULL, PARTIAL
from hybridlm.masks.expressions import Comparison, Constant, Fact, Joined, Not, Table, join
from hybridlm.masks.mask import Mask

REMEMBERED = 7
"""Of so many blocks that a row masks the kernels know which parts are seen: with those after them, 32 bits."""

_IS_THERE = "is there"
"""A fact under a name no column has: 1 for a token of the row, 0 for what fills the row up to whole blocks."""


class BlockLists(NamedTuple):
    """The work of each row of blocks (queries, or keys once transposed), the row with the most first.

    Attributes:
      order: which row this is. full: how many of its blocks need no mask. total: how many are visited.
      column: the blocks to visit, those without a mask first; beyond `total` the entries mean nothing.
      seen: which sub-blocks of those to mask hold a visible pair, in one number: of the n-th of them, bit 4·n + 2·i + j
        is that of sub-row i and sub-column j. Only of the first `REMEMBERED`; what comes after shares four bits.
    """

    order: Int[Array, "B R"]
    full: Int[Array, "B R"]
    total: Int[Array, "B R"]
    column: Int[Array, "B R C"]
    seen: Int[Array, "B R"]


def block_lists(classes: Int8[Array, "B r c"], rows: int, columns: int) -> BlockLists:
    """The lists of blocks of so many sub-blocks, at most 2 a side, from the classification of these."""
    B, r, c = classes.shape
    grid = classes.reshape(B, r // rows, rows, c // columns, columns).swapaxes(2, 3)
    bits = 1 << (2 * jnp.arange(rows)[:, None] + jnp.arange(columns))
    seen = jnp.sum(jnp.where(grid == EMPTY, 0, bits), (3, 4), dtype=jnp.int32)
    classes = jnp.where(jnp.all(grid == FULL, (3, 4)), FULL, jnp.where(seen == 0, EMPTY, PARTIAL))
    full = jnp.sum(classes == FULL, -1, dtype=jnp.int32)
    total = full + jnp.sum(classes == PARTIAL, -1, dtype=jnp.int32)
    # FULL, PARTIAL, EMPTY fall, and a stable sort keeps neighbours together
    column = jnp.argsort(-classes, axis=-1, stable=True).astype(jnp.int32)
    order = jnp.argsort(-total, axis=-1).astype(jnp.int32)
    seen = _packed(jnp.take_along_axis(seen, column, axis=2), full, total)
    sort = functools.partial(jnp.take_along_axis, axis=1)
    full, total, seen = (sort(array, order) for array in (full, total, seen))
    return BlockLists(order, full, total, sort(column, order[..., None]), seen)


def _packed(seen: Int[Array, "B R C"], full: Int[Array, "B R"], total: Int[Array, "B R"]) -> Int[Array, "B R"]:
    """What `BlockLists.seen` says, from the bits of each block in the order of the list."""
    C = seen.shape[-1]
    number = jnp.arange(C) - full[..., None]
    is_partial = (number >= 0) & (jnp.arange(C) < total[..., None])
    place = 4 * jnp.clip(number, 0, REMEMBERED).astype(jnp.uint32)
    bits = jnp.where(is_partial, seen.astype(jnp.uint32) << place, 0)
    return lax.reduce(bits, jnp.uint32(0), lax.bitwise_or, (2,)).astype(jnp.int32)


def transposed(classes: Int8[Array, "B R C"]) -> Int8[Array, "B C R"]:
    """The same classes by column: which queries each block of keys is seen by."""
    return jnp.swapaxes(classes, 1, 2)


def fill(facts: TokenFacts, rows: int, block: int) -> TokenFacts:
    """Facts of `rows` rows, filled up to a multiple of `block` with copies of the last token that are not valid."""
    length = facts.shape[1]
    pad = ((0, 0), (0, -length % block))
    spread = jax.tree.map(lambda column: jnp.broadcast_to(column, (rows, length)), facts)
    filled = jax.tree.map(lambda column: jnp.pad(column, pad, mode="edge"), spread)
    there = jnp.pad(jnp.ones((rows, length), jnp.int32), pad)
    return dataclasses.replace(filled, valid=filled.valid * there, extra={**filled.extra, _IS_THERE: there})


def filled(mask: Mask, block: int) -> Mask:
    """The mask over rows filled up to multiples of `block`: a dense array in it grows with them."""
    return Mask(_filled(mask.canonical, block))


def _filled(node, block):
    match node:
        case Table(shape=shape, array=array):
            pad = np.pad(array, [(0, -length % block) for length in shape])
            return Table(pad.shape, np.packbits(pad).tobytes())
        case Joined(op, terms):
            return Joined(op, tuple(_filled(term, block) for term in terms))
        case Not(inner):
            return Not(_filled(inner, block))
    return node


def bounded(mask: Mask, facts: TokenFacts, block: int) -> Mask:
    """The mask over keys that were filled up to a multiple of `block`, none of whose fillers is seen."""
    if facts.shape[1] % block == 0:
        return mask
    return Mask(join("and", (mask.canonical, Comparison("==", Fact("k", _IS_THERE), Constant(1)))))


def check_tokens(lengths: tuple[int, int], q: Array, k: Array) -> None:
    """Raises ValueError unless queries and keys [B, T, H, K] are as many as were prepared for and their heads share."""
    if (q.shape[1], k.shape[1]) != lengths:
        raise ValueError(
            f"there are {q.shape[1]} queries and {k.shape[1]} keys, but the mask was prepared for "
            f"{lengths[0]} and {lengths[1]}. A plan serves the batch it was made for: make one from "
            "these tokens' facts, under shard_map inside it."
        )
    if q.shape[2] % k.shape[2]:
        raise ValueError(
            f"{q.shape[2]} query heads cannot share {k.shape[2]} key heads evenly. Let the second divide the first."
        )
