"""The loop of every diffusion sampler: fixed shapes, no host in between, done when nothing is masked any more.

A sampler is a function of one step, (keys_B, number, canvas, ask) -> canvas, with at most `steps` of them. All here may
be traced; whoever holds the parameters jits it.
"""

import dataclasses
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from hybridlm.facts.tokens import TokenFacts
from hybridlm.sampling import trace as traces
from hybridlm.sampling.canvas import Ask, Canvas, Predict, without_mask
from hybridlm.sampling.noise import Keys, folded


@runtime_checkable
class Sampler(Protocol):
    """One step of denoising.

    Attributes:
      steps: how many there are at most. revises: whether it goes on when nothing is masked.
    """

    steps: int
    revises: bool

    def __call__(self, keys_B: Keys, number: Int[Array, ""], canvas: Canvas, ask: Ask) -> Canvas: ...


def denoise(
    sampler: Sampler,
    predict: Predict,
    canvas: Canvas,
    facts: TokenFacts,
    keys_B: Keys,
    *,
    record: bool = False,
) -> tuple[Canvas, traces.Trace | None]:
    """The canvas when the sampler is done with it, and every step on the way where asked for."""
    # what opens a document is never masked, in training neither
    maskable_B = (canvas.is_open_BT | ((facts.position > 0) & (facts.valid > 0))).sum(1)

    def ask(canvas, noise_B=None):
        noise_B = canvas.is_masked_BT.sum(1) / jnp.maximum(maskable_B, 1) if noise_B is None else noise_B
        noise_BT = jnp.broadcast_to(noise_B[:, None], canvas.tokens_BT.shape)
        logits_BTV = predict(canvas.tokens_BT, facts, noise_BT)
        return dataclasses.replace(canvas, calls=canvas.calls + 1), without_mask(logits_BTV, canvas.mask_id)

    def is_unfinished(carry):
        number, canvas, _ = carry
        return (number < sampler.steps) & (sampler.revises | canvas.is_masked_BT.any())

    def step(carry):
        number, canvas, trace = carry
        canvas = sampler(folded(keys_B, number), number, canvas, ask)
        return number + 1, canvas, None if trace is None else traces.extend(trace, canvas)

    first = jnp.zeros((), jnp.int32), canvas, traces.begin(canvas, sampler.steps) if record else None
    _, canvas, trace = jax.lax.while_loop(is_unfinished, step, first)
    return canvas, trace
