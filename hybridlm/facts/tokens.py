"""Facts about tokens: the only thing a mask, a position embedding or a cache may ask about a token.

Packing, padding, prefixes, blocks and clean/noisy streams are facts, never special cases in a model.
"""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Int

from hybridlm.facts.names import LIMIT, STANDARD

_Fact = Int[Array, "B T"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenFacts:
    """int32 facts per token, all [B, T]; B may be 1 where every row agrees.

    Attributes:
      position: place in its own document, from 0; rotary and learned positions read it.
      index: place along the row or stream, never restarting; causal order and windows compare it.
      segment: the document inside a packed row, from 1; 0 is padding.
      block: the group of tokens that see each other; runs on along the row, across documents.
      stream: 0 for clean tokens, s >= 1 for the s-th noisy copy of them.
      valid: 1 for a token, 0 for padding.
      extra: further integer columns by name, read like the others (`facts.depth`).
      in_order: True promises that `index` is 0, 1, 2, ... along every row (static), so that a kernel which orders
        tokens by their place in memory orders them as the mask does.
    """

    position: _Fact
    index: _Fact
    segment: _Fact
    block: _Fact
    stream: _Fact
    valid: _Fact
    extra: Mapping[str, _Fact] = dataclasses.field(default_factory=dict)
    in_order: bool = dataclasses.field(default=False, metadata={"static": True})

    def __getattr__(self, name: str):
        if not name.startswith("__"):
            extra = self.__dict__.get("extra", {})
            if name in extra:
                return extra[name]
        raise AttributeError(f"no fact {name!r}; these tokens carry {', '.join(names(self))}")

    @property
    def shape(self) -> tuple[int, int]:
        return jnp.broadcast_shapes(*(column.shape for column in as_dict(self).values()))


_RESERVED = {*STANDARD, "extra", "in_order", "shape"}


def names(facts: TokenFacts) -> tuple[str, ...]:
    """The names a mask may read from these tokens."""
    return STANDARD + tuple(facts.__dict__.get("extra", {}))


def as_dict(facts: TokenFacts) -> dict[str, Array]:
    """All facts by name, the standard ones first."""
    return {name: getattr(facts, name) for name in names(facts)}


def from_columns(
    segment_BT,
    position_BT,
    *,
    index_BT=None,
    block_BT=None,
    stream_BT=None,
    extra: Mapping[str, ArrayLike] | None = None,
) -> TokenFacts:
    """Facts of packed rows from their columns: padding is segment 0, `index` counts along the row,
    and every token is its own block unless `block_BT` says otherwise.

    Raises ValueError for a column that holds no whole numbers, which masks compare exactly.
    """
    if taken := sorted(set(extra or ()) & _RESERVED):
        raise ValueError(
            f"column {taken[0]!r} cannot be a fact, because every token already has {taken[0]!r}; rename it."
        )
    segment_BT = _whole("segment", segment_BT)
    in_order = index_BT is None
    index_BT = along_row(segment_BT.shape) if in_order else _whole("index", index_BT)
    return TokenFacts(
        position=_whole("position", position_BT),
        index=index_BT,
        segment=segment_BT,
        block=index_BT if block_BT is None else _whole("block", block_BT),
        stream=jnp.zeros_like(segment_BT) if stream_BT is None else _whole("stream", stream_BT),
        valid=(segment_BT > 0).astype(jnp.int32),
        extra={name: _whole(name, column) for name, column in (extra or {}).items()},
        in_order=in_order,
    )


def _whole(name, column):
    """The column as int32."""
    column = jnp.asarray(column)
    if jnp.issubdtype(column.dtype, jnp.floating):
        raise ValueError(
            f"column {name!r} holds {column.dtype}, but facts are whole numbers, which a mask compares exactly; "
            "round it, or number its levels, and pass integers."
        )
    return column.astype(jnp.int32)


def one_document(length: int, *, offset: int = 0) -> TokenFacts:
    """Facts of a single unpadded document [1, length] whose first token stands at `offset` (a cache's fill, say)."""
    index_BT = along_row((1, length)) + offset
    return from_columns(jnp.ones((1, length), jnp.int32), index_BT, index_BT=index_BT)


def along_row(shape: tuple[int, int]) -> Int[Array, "B T"]:
    """0, 1, 2, ... along every row."""
    return jnp.broadcast_to(jnp.arange(shape[1], dtype=jnp.int32), shape)


def concatenate(parts: list[TokenFacts], *, axis: int) -> TokenFacts:
    """Joins facts by rows (axis 0) or along rows (axis 1); all parts must carry the same columns.

    Joined along rows, `index` no longer counts slots, and the promise that it does is dropped.
    """
    in_order = axis == 0 and all(part.in_order for part in parts)
    parts = [dataclasses.replace(part, in_order=in_order) for part in parts]
    return jax.tree.map(lambda *columns: jnp.concatenate(columns, axis), *parts)


def check_range(facts: TokenFacts) -> None:
    """Raises if a concrete fact leaves the range in which masks compute exactly. Host only: it reads the values."""
    for name, column in as_dict(facts).items():
        values = np.asarray(column)
        if values.size and (values.min() <= -LIMIT or values.max() >= LIMIT):
            raise ValueError(
                f"fact {name!r} must stay strictly within ±{LIMIT} (2**29) so that masks cannot overflow int32, but it "
                f"spans {values.min()} to {values.max()}; store a smaller number, for example an id counted from 0."
            )
