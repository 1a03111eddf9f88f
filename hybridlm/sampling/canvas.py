"""What a diffusion sampler works on: rows of tokens, some of them masked and the sampler's to write.

A token that is masked at the start is open; all others, a prompt or what stands around a gap, never change.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from hybridlm.config.errors import require
from hybridlm.facts.head import NEVER

Predict = Callable[..., Any]
"""predict(tokens_BT, facts, noise_BT) -> logits_BTV of each token at its own place; noise is the share replaced."""

Ask = Callable[..., Any]
"""ask(canvas, noise_B) -> (the canvas with this call counted, logits_BTV without the mask token); without `noise_B` the
network is told the share of masks among the tokens of a row that may be masked, given ones too."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Canvas:
    """Tokens on their way from noise to text.

    Attributes:
      tokens_BT: vocabulary ids, `mask_id` where nothing is written yet.
      is_open_BT: whether the token is the sampler's to write.
      confidence_BT: probability the prediction gave a token when it was written; 1 for given tokens, 0 for masked ones.
      calls: how often the network was asked.
    """

    tokens_BT: Int[Array, "B T"]
    is_open_BT: Bool[Array, "B T"]
    confidence_BT: Float[Array, "B T"]
    calls: Int[Array, ""]
    mask_id: int = dataclasses.field(metadata={"static": True})

    @property
    def is_masked_BT(self) -> Bool[Array, "B T"]:
        """Whether nothing is written there yet."""
        return self.tokens_BT == self.mask_id


def start(tokens_BT: Int[Array, "B T"], mask_id: int) -> Canvas:
    """The canvas of rows in which what is to be written is masked."""
    require(
        tokens_BT.size > 0,
        f"a sampler writes into rows of tokens, but these have shape {tokens_BT.shape}; give at least one of each.",
    )
    is_masked_BT = tokens_BT == mask_id
    confidence_BT = jnp.where(is_masked_BT, 0.0, 1.0)
    return Canvas(
        tokens_BT=tokens_BT,
        is_open_BT=is_masked_BT,
        confidence_BT=confidence_BT,
        calls=jnp.zeros((), jnp.int32),
        mask_id=mask_id,
    )


def write(
    canvas: Canvas, where_BT: Bool[Array, "B T"], tokens_BT: Int[Array, "B T"], logits_BTV: Float[Array, "B T V"]
) -> Canvas:
    """Writes tokens where asked, with the probability that the prediction, before any filter, gave them."""
    log_p_BT = log_probability(logits_BTV, tokens_BT)
    return dataclasses.replace(
        canvas,
        tokens_BT=jnp.where(where_BT, tokens_BT, canvas.tokens_BT).astype(canvas.tokens_BT.dtype),
        confidence_BT=jnp.where(where_BT, jnp.exp(log_p_BT), canvas.confidence_BT),
    )


def erase(canvas: Canvas, where_BT: Bool[Array, "B T"]) -> Canvas:
    """Masks tokens again."""
    return dataclasses.replace(
        canvas,
        tokens_BT=jnp.where(where_BT, canvas.mask_id, canvas.tokens_BT),
        confidence_BT=jnp.where(where_BT, 0.0, canvas.confidence_BT),
    )


def log_probability(logits_BTV: Float[Array, "B T V"], tokens_BT: Int[Array, "B T"]) -> Float[Array, "B T"]:
    """log p of each token."""
    logit_BT = jnp.take_along_axis(logits_BTV, tokens_BT[..., None], axis=-1)[..., 0]
    return logit_BT - jax.nn.logsumexp(logits_BTV, axis=-1)


def without_mask(logits_BTV: Float[Array, "B T V"], mask_id: int) -> Float[Array, "B T V"]:
    """Finite float32 logits in which the mask token is impossible: noise is not text."""
    is_mask_V = jnp.arange(logits_BTV.shape[-1]) == mask_id
    return jnp.where(is_mask_V, NEVER, jnp.maximum(logits_BTV.astype(jnp.float32), NEVER))
