"""The blocks a kernel visits as one flat list for the whole batch, so that a grid has no step without work.

    classes of two rows      steps, in order
    p . .                    (0, 0) partial, first and last of its row of blocks
    f f p                    (1, 0) full, first; (1, 1) full; (1, 2) partial, last

The list is made on the device from `masks.block_map`; its length is the size of a grid dimension known only there.
"""

import dataclasses
from typing import NamedTuple, no_type_check

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int, Int8

from hybridlm.masks.evaluate_blocks import EMPTY

_CLASS, _FIRST, _LAST, _FLAGS = 3, 4, 8, 4


@no_type_check  # the same tree also holds specs and placeholders
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Steps:
    """What the steps of a grid are.

    Attributes:
      code: per step, the place of its block in the classification, then four bits: last and first of its row, class.
      count: how many there are; beyond it the entries mean nothing.
      blocks: shape of the classification: rows of the batch, rows and columns of blocks.
    """

    code: Int[Array, "N"]
    count: Int[Array, ""]
    blocks: tuple[int, int, int] = dataclasses.field(metadata={"static": True})

    def read(self, code: Array) -> "Step":
        """A step out of its code."""
        _, rows, columns = self.blocks
        place = code >> _FLAGS
        block_row = lax.div(place, columns)  # nothing is negative, which // would ask on the scalar core
        where = lax.div(block_row, rows), lax.rem(block_row, rows), lax.rem(place, columns)
        return Step(*where, code & _CLASS, (code & _FIRST) != 0, (code & _LAST) != 0)


class Step(NamedTuple):
    """One visit: batch row, row of blocks (whose output is written), column of blocks (which is read), class."""

    batch: Array
    row: Array
    column: Array
    kind: Array
    is_first: Array
    is_last: Array


def listed(classes: Int8[Array, "B R C"]) -> Steps:
    """The steps of a classification, row of blocks by row of blocks.

    A row of blocks without a visible pair gets one step, in which its output is written and nothing computed.
    """
    columns = jnp.arange(classes.shape[-1])
    is_visited = (classes != EMPTY).at[..., 0].max(jnp.all(classes == EMPTY, -1))
    first = jnp.argmax(is_visited, -1, keepdims=True)
    last = columns[-1] - jnp.argmax(is_visited[..., ::-1], -1, keepdims=True)
    flags = classes + _FIRST * (columns == first) + _LAST * (columns == last)
    place = jnp.flatnonzero(is_visited, size=classes.size, fill_value=0)
    code = ((place << _FLAGS) + flags.ravel()[place]).astype(jnp.int32)
    return Steps(code, is_visited.sum(dtype=jnp.int32), classes.shape)
