"""A mask inside a kernel: its expression read on tiles of facts, in the registers where the scores are."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array, lax
from jax.experimental.pallas import mosaic_gpu as plgpu

from hybridlm.attention.mosaic.tiles import Stream, Tiles, rings
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


def of_rows(mask: Mask, side: str, refs: tuple, row: Any, rows: Any) -> dict[str, Array]:
    """The facts of a warpgroup's rows."""
    return {name: vector(ref.at[row, rows], ROWS) for name, ref in zip(names(mask, side), refs)}


def fact_rings(mask: Mask, side: str, tiles: Tiles) -> tuple:
    """Rings for the facts of the side that streams."""
    return tuple(rings((tiles.columns,), jnp.int32, tiles) for _ in names(mask, side))


def fact_streams(refs: tuple, scratch: tuple, block: Callable) -> list[Stream]:
    """Streams of the facts of `block(tile, step)`, for the steps with a mask."""
    return [
        Stream(lambda tile, step, ref=ref: ref.at[tile.row, block(tile, step)], *ring, is_for_mask=True)
        for ref, ring in zip(refs, scratch)
    ]


def hide(
    mask: Mask,
    values: Array,
    instead: float,
    own: dict[str, Array],
    streams: list[Stream],
    slot: Array,
    *,
    own_side: str,
) -> Array:
    """A tile with something else where the query may not see the key; frees the facts of the slot."""
    for stream in streams:
        plgpu.barrier_wait(stream.ready.at[slot])
    other_side = "k" if own_side == "q" else "q"
    other = {n: vector(stream.slots.at[slot], COLUMNS) for n, stream in zip(names(mask, other_side), streams)}
    sides = {own_side: Side(own, values.shape, ROWS), other_side: Side(other, values.shape, COLUMNS)}
    seen = evaluate(Mask(_without_not(mask.canonical)), **sides)
    if isinstance(seen, bool):
        hidden = values if seen else jnp.full_like(values, instead)
    else:
        hidden = jnp.where(seen, values, instead)
    for stream in streams:
        plgpu.barrier_arrive(stream.free.at[slot])
    return hidden


def _without_not(term: Any) -> Any:
    """The canonical expression with == denied as < or >, because Mosaic has no `not` for tiles of booleans."""
    match term:
        case Not(Comparison("==", left, right)):
            return Joined("or", (Comparison("<", left, right), Comparison("<", right, left)))
        case Joined(op, terms):
            return Joined(op, tuple(map(_without_not, terms)))
    return term
