"""A loss that is not the NLL: what `LossInputs.loss` makes of streamed reductions, token by token.

With constant weights its gradient is known while a chunk's logits are in memory, as that of the NLL is: one sweep makes
the loss and the gradient of its weighted sum, and the backward pass only scales.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hybridlm.facts.head import Head
from hybridlm.facts.loss_inputs import LossInputs
from hybridlm.scoring.reductions import reductions_at_once, vocabulary_reductions


def token_loss(hidden_BTD: Float[Array, "B T D"], head: Head, inputs: LossInputs, *, chunk: int) -> Float[Array, "B T"]:
    """The loss of every token, differentiable, by recomputing logits."""
    return inputs.loss(vocabulary_reductions(hidden_BTD, head, *_asked(inputs), chunk=chunk), inputs)


def weighted_loss(
    hidden_BTD: Float[Array, "B T D"], head: Head, inputs: LossInputs, *, chunk: int
) -> tuple[Float[Array, ""], Float[Array, "B T"]]:
    """Σ train weight · loss, differentiable in hidden and head, and every token's loss, 0 where it has no weight.

    The tokens' losses are constants to autodiff. Logits exist for `chunk` tokens at a time, at least one of every row.
    """
    columns, structure = jax.tree.flatten(inputs)
    static, trained = (chunk, head.softcap, structure), (hidden_BTD, head.kernel_VD, head.bias_V)
    return _weighted(static, trained, (head.never_V, columns))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _weighted(static, trained, constants):
    return _with_gradient(static, trained, constants)[0]


def _with_gradient(static, trained, constants):
    (chunk, softcap, structure), (never_V, columns) = static, constants
    inputs, (hidden_BTD, *head) = structure.unflatten(columns), trained
    B, T = inputs.inputs_BT.shape
    size = max(n for n in range(1, max(chunk // B, 1) + 1) if T % n == 0)
    grad_of = jax.value_and_grad(functools.partial(_total, softcap, never_V), argnums=(0, 1), has_aux=True)

    def step(carry, first):
        total, dhead = carry
        # what has no column of its own, as the parts of a row, belongs to every chunk
        part = functools.partial(jax.lax.dynamic_slice_in_dim, start_index=first, slice_size=size, axis=1)
        here = jax.tree.map(lambda x: part(x) if x.shape[1] == T else x, inputs)
        (loss, loss_BU), (dhidden_BUD, more) = grad_of(part(hidden_BTD), head, here)
        return (total + loss, jax.tree.map(jnp.add, dhead, more)), (loss_BU, dhidden_BUD)

    start = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, head))
    (total, dhead), parts = jax.lax.scan(step, start, jnp.arange(0, T, size))
    loss_BT, dhidden_BTD = (jnp.moveaxis(x, 0, 1).reshape(B, T, *x.shape[3:]) for x in parts)
    return (total, loss_BT), (dhidden_BTD, *dhead)


def _scale(static, gradient, cotangents):
    return jax.tree.map(lambda x: (cotangents[0] * x).astype(x.dtype), gradient), None


_weighted.defvjp(_with_gradient, _scale)


def _total(softcap, never_V, hidden_BUD, head, inputs):
    """The weighted loss of a chunk, and its tokens'."""
    head = Head(*head, never_V, softcap)
    weight_BU = inputs.train_weight_BT
    loss_BU = inputs.loss(reductions_at_once(hidden_BUD, head, *_asked(inputs)), inputs)
    loss_BU = jnp.where(weight_BU != 0, loss_BU, 0)
    return jnp.sum(weight_BU * loss_BU), loss_BU


def _asked(inputs):
    """What is asked of the vocabulary: the target's and the input's logits, and a sum where the loss has an f."""
    f = getattr(inputs.loss, "f", None)
    return inputs.targets_BT, inputs.inputs_BT, f, (inputs.noise_BT,) if f else ()
