"""Every step of a sampler as arrays, to be looked at."""

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from hybridlm.sampling.canvas import Canvas


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Trace:
    """Frames of a sampler at work; N is one more than its steps, and frame 0 is what it began with.

    Attributes:
      tokens_NBT, confidence_NBT: of the canvas after each step. count: how many frames there are; the rest is unused.
      mask_id: what stands where nothing is written.
    """

    tokens_NBT: Int[Array, "N B T"]
    confidence_NBT: Float[Array, "N B T"]
    count: Int[Array, ""]
    mask_id: int = dataclasses.field(metadata={"static": True})

    @property
    def is_revealed_NBT(self) -> Bool[Array, "N B T"]:
        """Whether a token was written at this step."""
        before_NBT = jnp.concatenate([self.tokens_NBT[:1], self.tokens_NBT[:-1]])
        return (self.tokens_NBT != before_NBT) & (self.tokens_NBT != self.mask_id)


def begin(canvas: Canvas, steps: int) -> Trace:
    """A trace with room for so many steps."""

    def first(value_BT):
        return jnp.zeros((steps + 1, *value_BT.shape), value_BT.dtype).at[0].set(value_BT)

    return Trace(
        tokens_NBT=first(canvas.tokens_BT),
        confidence_NBT=first(canvas.confidence_BT),
        count=jnp.ones((), jnp.int32),
        mask_id=canvas.mask_id,
    )


def extend(trace: Trace, canvas: Canvas) -> Trace:
    """The trace with one more frame."""
    return dataclasses.replace(
        trace,
        tokens_NBT=trace.tokens_NBT.at[trace.count].set(canvas.tokens_BT),
        confidence_NBT=trace.confidence_NBT.at[trace.count].set(canvas.confidence_BT),
        count=trace.count + 1,
    )


def join(trace: Trace, part: Trace, slot: Int[Array, ""]) -> Trace:
    """The trace with the frames of a part of its rows, which begins at that slot, after the first of them."""

    def put(whole_NBT, part_NBT):
        last_BT = whole_NBT[trace.count - 1]
        rows_NBT = jnp.broadcast_to(last_BT, (part_NBT.shape[0] - 1, *last_BT.shape))
        rows_NBT = lax.dynamic_update_slice_in_dim(rows_NBT, part_NBT[1:], slot, axis=2)
        return lax.dynamic_update_slice_in_dim(whole_NBT, rows_NBT, trace.count, axis=0)

    return dataclasses.replace(
        trace,
        tokens_NBT=put(trace.tokens_NBT, part.tokens_NBT),
        confidence_NBT=put(trace.confidence_NBT, part.confidence_NBT),
        count=trace.count + part.count - 1,
    )
