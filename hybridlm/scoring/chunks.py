"""Sweeping a batch of tokens in chunks, over all devices at once and over the needed tokens alone.

The batch is seen as Z shards of N tokens, and a chunk takes U tokens of every shard: the leading axis stays spread over
the devices, and none waits while another works.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

Constrain = Callable[[Array, tuple[str | None, ...]], Array]
"""constrain(x, names) -> x: says along which mesh axes x lies, given "batch", "vocab" or None per dimension."""


def anywhere(x: Array, names: tuple[str | None, ...]) -> Array:
    """The `constrain` of a single device: an array may lie where it likes."""
    return x


PARTS, LEAST, TILE = 16, 2048, 256
"""Where only some tokens are needed: into how many chunks all would go; and tokens of a chunk: no fewer, multiples."""


@dataclasses.dataclass(frozen=True)
class Split:
    """How many shards a batch has, how many tokens of each one chunk takes, and where arrays lie."""

    groups: int
    chunk: int
    constrain: Constrain


def at_once(chunk: int, tokens: int, *, dense: bool) -> int:
    """How many of a shard's tokens one chunk takes; fewer where not all are needed, for the last takes others along."""
    part = -(-tokens // PARTS)
    return min(chunk, tokens) if dense else min(chunk, tokens, max(LEAST, part + -part % TILE))


def sweep(
    visit: Callable[[Any, Any], tuple[Any, Any]],
    carry: Any,
    columns: Any,
    needed_BT: Bool[Array, "B T"] | None,
    split: Split,
) -> tuple[Any, Any]:
    """Calls `visit(carry, columns of a chunk [Z U ...]) -> carry, values [Z U ...]` until every needed token is seen.

    Returns the last carry and the values [B T ...]. With `needed_BT`, the needed tokens of each shard are visited first
    and chunks that hold none are left out, their values 0; without it the number of steps is fixed.
    """
    shape = jax.tree.leaves(columns)[0].shape[:2]
    columns = jax.tree.map(lambda x: _shards(x, split.groups), columns)
    chunk = at_once(split.chunk, jax.tree.leaves(columns)[0].shape[1], dense=needed_BT is None)
    if needed_BT is None:
        carry, values = _visit_all(visit, carry, columns, chunk)
    else:
        needed_ZN = _shards(needed_BT, split.groups)
        order_ZN = jnp.argsort(~needed_ZN, axis=1, stable=True)
        carry, values = _visit_all(visit, carry, _take(columns, order_ZN), chunk, needed_ZN.sum(1).max())
        values = _take(values, jnp.argsort(order_ZN, axis=1))
    return carry, jax.tree.map(lambda x: x.reshape(*shape, *x.shape[2:]), values)


def _visit_all(visit, carry, columns, chunk, count=None):
    """Visits the first `count` tokens of every shard, or all of them, in chunks; the last chunk may be padded."""
    size = jax.tree.leaves(columns)[0].shape[1]
    padding = -size % chunk
    columns = jax.tree.map(lambda x: _pad(x, padding), columns)

    def part(i):
        return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, i * chunk, chunk, axis=1), columns)

    def step(i, state):
        carry, values = state
        carry, new = visit(carry, part(i))
        return carry, jax.tree.map(lambda x, y: jax.lax.dynamic_update_slice_in_dim(x, y, i * chunk, 1), values, new)

    _, shapes = jax.eval_shape(lambda: visit(carry, part(0)))
    values = jax.tree.map(lambda x: jnp.zeros((x.shape[0], size + padding, *x.shape[2:]), x.dtype), shapes)
    steps = (size + padding) // chunk if count is None else (count + chunk - 1) // chunk
    carry, values = jax.lax.fori_loop(0, steps, step, (carry, values))
    return carry, jax.tree.map(lambda x: x[:, :size], values)


def _shards(x, groups):
    if x.shape[0] % groups:
        raise ValueError(
            f"{x.shape[0]} rows do not divide into groups={groups} equal shards, so a shard would span devices; "
            "choose the number of devices that the rows are spread over, or 1."
        )
    return x.reshape(groups, -1, *x.shape[2:])


def _take(tree, order_ZN):
    return jax.tree.map(lambda x: jax.vmap(lambda x_N, order_N: x_N[order_N])(x, order_ZN), tree)


def _pad(x, padding):
    return jnp.pad(x, [(0, 0), (0, padding), *[(0, 0)] * (x.ndim - 2)]) if padding else x
