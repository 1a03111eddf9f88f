"""A loss that is not the NLL: what `LossInputs.loss` makes of streamed reductions, token by token.

With constant weights its gradient is known while a chunk's logits are in memory, as that of the NLL is: one sweep makes
the loss and the gradient of its weighted sum, and the backward pass only scales. On one Hopper GPU a loss that sums
over the vocabulary is made of odds, and no logits are in memory (`own_loss_by_odds`).
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hybridlm.facts.head import Head
from hybridlm.facts.loss_inputs import LossInputs
from hybridlm.scoring import odds
from hybridlm.scoring.chunks import Constrain, anywhere
from hybridlm.scoring.nll import at_hand
from hybridlm.scoring.own_loss_by_odds import chunk_loss, weighted
from hybridlm.scoring.reductions import reductions_at_once, vocabulary_reductions


def token_loss(hidden_BTD: Float[Array, "B T D"], head: Head, inputs: LossInputs, *, chunk: int) -> Float[Array, "B T"]:
    """The loss of every token, differentiable, by recomputing logits."""
    return inputs.loss(vocabulary_reductions(hidden_BTD, head, *_asked(inputs), chunk=chunk), inputs)


def weighted_loss(
    hidden_BTD: Float[Array, "B T D"], head: Head, inputs: LossInputs, *, chunk: int, constrain: Constrain = anywhere
) -> tuple[Float[Array, ""], Float[Array, "B T"]]:
    """Σ train weight · loss, differentiable in hidden and head, and every token's loss, 0 where it has no weight.

    The tokens' losses are constants to autodiff. Logits, or odds, exist for `chunk` tokens at a time, at least one of
    every row.
    """
    columns, structure = jax.tree.flatten(inputs)
    static, trained = (chunk, constrain, head.softcap, structure), (hidden_BTD, head.kernel_VD, head.bias_V)
    return _weighted(static, trained, (head.never_V, columns))


def explain(
    loss: Callable,
    ids: int,
    width: int,
    softcap: float | None,
    dtype: Any,
    shape: tuple[int, int],
    *,
    chunk: int,
    constrain: Constrain = anywhere,
) -> str:
    """What of the head of so many ids `weighted_loss` has in memory for a batch [B, T], and why."""
    tokens = shape[0] * _columns(*shape, chunk)
    return odds.explain(tokens, _obstacle(loss, ids, width, softcap, dtype, tokens, constrain))


def _columns(rows: int, length: int, chunk: int) -> int:
    """How many tokens of every row one chunk takes."""
    return max(n for n in range(1, max(chunk // rows, 1) + 1) if length % n == 0)


def _obstacle(loss, ids, width, softcap, dtype, tokens, constrain):
    """Why the loss needs logits, or None; its chunks run across the rows of all devices, so odds take one device."""
    sums = "a loss of its own that sums nothing over the vocabulary" * (not hasattr(loss, "f"))
    return sums or odds.obstacle(ids, width, softcap, dtype, tokens, 1, constrain)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _weighted(static, trained, constants):
    return _with_gradient(static, trained, constants)[0]


def _with_gradient(static, trained, constants):
    (chunk, constrain, softcap, structure), (never_V, columns) = static, constants
    inputs, (hidden_BTD, kernel_VD, bias_V) = structure.unflatten(columns), trained
    (B, T), head = inputs.inputs_BT.shape, Head(kernel_VD, bias_V, never_V, softcap)
    size = _columns(B, T, chunk)
    if _obstacle(inputs.loss, *kernel_VD.shape, softcap, hidden_BTD.dtype, B * size, constrain):
        one_chunk = functools.partial(_chunk_loss, head)
    else:
        one_chunk = functools.partial(chunk_loss, at_hand(head, hidden_BTD.dtype, constrain))

    def step(carry, first):
        total, dhead = carry
        # what has no column of its own, as the parts of a row, belongs to every chunk
        part = functools.partial(jax.lax.dynamic_slice_in_dim, start_index=first, slice_size=size, axis=1)
        here = jax.tree.map(lambda x: part(x) if x.shape[1] == T else x, inputs)
        (loss, loss_BU), (dhidden_BUD, more) = one_chunk(part(hidden_BTD), here)
        return (total + loss, jax.tree.map(jnp.add, dhead, more)), (loss_BU, dhidden_BUD)

    start = (jnp.zeros(()), jax.tree.map(lambda x: jnp.zeros(x.shape), (kernel_VD, bias_V)))
    (total, dhead), parts = jax.lax.scan(step, start, jnp.arange(0, T, size))
    loss_BT, dhidden_BTD = (jnp.moveaxis(x, 0, 1).reshape(B, T, *x.shape[3:]) for x in parts)
    return (total, loss_BT), jax.tree.map(lambda d, x: d.astype(x.dtype), (dhidden_BTD, *dhead), trained)


def _scale(static, gradient, cotangents):
    return jax.tree.map(lambda x: (cotangents[0] * x).astype(x.dtype), gradient), None


_weighted.defvjp(_with_gradient, _scale)


def _chunk_loss(head, hidden_BUD, inputs):
    """(weighted loss, tokens' losses), and the gradients by hidden states and by (kernel, bias), by autodiff."""

    @functools.partial(jax.value_and_grad, argnums=(0, 1), has_aux=True)
    def total(hidden_BUD, trained):
        own = dataclasses.replace(head, kernel_VD=trained[0], bias_V=trained[1])
        return weighted(inputs, reductions_at_once(hidden_BUD, own, *_asked(inputs)))

    return total(hidden_BUD, (head.kernel_VD, head.bias_V))


def _asked(inputs):
    """What is asked of the vocabulary: the target's and the input's logits, and a sum where the loss has an f."""
    f = getattr(inputs.loss, "f", None)
    return inputs.targets_BT, inputs.inputs_BT, f, (inputs.noise_BT,) if f else ()
