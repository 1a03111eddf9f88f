"""The map from hidden states to logits, as plain arrays, so that losses and scorers need no model."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

NEVER = -1e30
"""Logit of an id the head never predicts: its probability is exactly 0 in float32, and no NaN can come of it."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Head:
    """logits = softcap(hidden · kernel) + bias, and never the ids of `never_V`.

    Attributes:
      kernel_VD: one row per vocabulary id (the embedding itself where they are tied).
      bias_V: added to the logits, or None.
      never_V: True for ids that are never predicted (the mask token, padding of the vocabulary), or None.
      softcap: c gives c·tanh(logits / c) before the bias (Gemma 2), or None.
    """

    kernel_VD: Float[Array, "V D"]
    bias_V: Float[Array, "V"] | None = None
    never_V: Bool[Array, "V"] | None = None
    softcap: float | None = dataclasses.field(default=None, metadata={"static": True})


def logits(head: Head, hidden: Float[Array, "*N D"]) -> Float[Array, "*N V"]:
    """Float32 logits; the product itself runs in the dtype of `hidden`, accumulated in float32."""
    kernel_VD = head.kernel_VD.astype(hidden.dtype)
    out = jnp.einsum("...d,vd->...v", hidden, kernel_VD, preferred_element_type=jnp.float32)
    if head.softcap is not None:
        out = head.softcap * jnp.tanh(out / head.softcap)
    if head.bias_V is not None:
        out = out + head.bias_V.astype(jnp.float32)
    if head.never_V is not None:
        out = jnp.where(head.never_V, NEVER, out)
    return out
