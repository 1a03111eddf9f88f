"""A batch of packed text, as every objective reads it."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

_KNOWN = ("tokens", "segment_ids", "positions")


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Text:
    """Packed rows of documents, each of which opens with BOS.

    Attributes:
      tokens_BT: vocabulary ids.
      segment_BT: documents of a row, counted from 1; 0 is padding, which stands at the end.
      position_BT: place in the document, from 0, where BOS stands.
      columns: the other integer columns of the batch; they become facts that a mask may read.
    """

    tokens_BT: Int[Array, "B T"]
    segment_BT: Int[Array, "B T"]
    position_BT: Int[Array, "B T"]
    columns: Mapping[str, Int[Array, "B T"]]

    @property
    def is_target_BT(self) -> Bool[Array, "B T"]:
        """True for tokens that may be masked and are scored: all but padding and the BOS that opens each document."""
        return (self.segment_BT > 0) & (self.position_BT > 0)

    @property
    def start_BT(self) -> Int[Array, "B T"]:
        """Where along its row each token's document begins."""
        return jnp.arange(self.tokens_BT.shape[1], dtype=jnp.int32) - self.position_BT

    def rows(self, start: int, stop: int) -> "Text":
        """Some of the rows."""
        return jax.tree.map(lambda column: column[start:stop], self)


def from_batch(batch: Mapping[str, Int[Array, "B T"]]) -> Text:
    """The text of a batch of columns as they stand on disk."""
    facts = {name: column for name, column in batch.items() if jnp.issubdtype(column.dtype, jnp.integer)}
    return Text(*(facts.pop(name) for name in _KNOWN), facts)


@dataclasses.dataclass(frozen=True)
class Ids:
    """Attributes: mask: the id that stands for a masked token. never: ids never predicted. size: V, unpadded."""

    mask: int
    never: tuple[int, ...]
    size: int

    @property
    def ordinary(self) -> tuple[int, ...]:
        """Ids a random replacement may be."""
        return tuple(sorted(set(range(self.size)) - set(self.never)))
