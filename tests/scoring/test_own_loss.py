"""Loss and gradient in one sweep are those of autodiff over the whole vocabulary at once, whatever the chunk."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm import masks
from hybridlm.diffusion.uniform import TokenBound
from hybridlm.facts.head import Head
from hybridlm.facts.loss_inputs import LossInputs
from hybridlm.facts.tokens import from_columns
from hybridlm.scoring.own_loss import token_loss, weighted_loss

B, T, D, V = 3, 6, 4, 11
RANDOM = np.random.default_rng(0)
NEVER_V = jnp.arange(V) == V - 1
KERNEL_VD, BIAS_V = RANDOM.normal(size=(V, D)).astype(np.float32), RANDOM.normal(size=V).astype(np.float32)
HIDDEN_BTD = RANDOM.normal(size=(B, T, D)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class ByPart:
    """The NLL, twice in the second part: it reads an array that has no column for each token."""

    def __call__(self, reductions, inputs):
        return (1 + inputs.part_BX) * (reductions.log_sum_exp - reductions.target_logit)


def inputs_of(loss):
    ids_BT, weight_BT = RANDOM.integers(0, V - 1, (2, B, T)), RANDOM.uniform(0.1, 1, (B, T))
    weight_BT[0, :4] = 0
    return LossInputs(
        inputs_BT=jnp.asarray(ids_BT[0]),
        facts=from_columns(np.ones((B, T), int), np.arange(B * T).reshape(B, T)),
        targets_BT=jnp.asarray(ids_BT[1]),
        target_index_BT=jnp.arange(B * T).reshape(B, T),
        train_weight_BT=jnp.asarray(weight_BT, jnp.float32),
        score_weight_BT=jnp.ones((B, T)),
        noise_BT=jnp.asarray(RANDOM.uniform(0.1, 0.9, (B, T)), jnp.float32),
        part_BX=jnp.array([[0], [1], [0]]),
        mask=masks.causal(),
        parts=(),
        loss=loss,
    )


def both(inputs, softcap, chunk):
    """(loss, tokens' losses, gradients) in one sweep, and by autodiff through all logits."""

    def swept(trained):
        return weighted_loss(trained[0], Head(*trained[1:], NEVER_V, softcap), inputs, chunk=chunk)

    def whole(trained):
        loss_BT = token_loss(trained[0], Head(*trained[1:], NEVER_V, softcap), inputs, chunk=B * T)
        loss_BT = jnp.where(inputs.train_weight_BT != 0, loss_BT, 0)
        return jnp.sum(inputs.train_weight_BT * loss_BT), loss_BT

    trained = (HIDDEN_BTD, KERNEL_VD, BIAS_V)
    return [
        jax.jit(jax.value_and_grad(one, has_aux=True))(jax.tree.map(jnp.asarray, trained)) for one in (swept, whole)
    ]


@pytest.mark.parametrize("loss", [TokenBound(V - 1), ByPart()], ids=["uniform diffusion", "a loss of one's own"])
@pytest.mark.parametrize(("chunk", "softcap"), [(1, None), (7, 2.0), (1000, None)])
def test_one_sweep_is_autodiff(loss, chunk, softcap):
    swept, whole = both(inputs_of(loss), softcap, chunk)
    for ours, theirs in zip(jax.tree.leaves(swept), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)


def test_the_gradient_scales_and_what_has_no_weight_costs_nothing():
    inputs = inputs_of(TokenBound(V - 1))
    head = Head(jnp.asarray(KERNEL_VD), never_V=NEVER_V)
    one, thrice = (jax.grad(lambda h, k=k: k * weighted_loss(h, head, inputs, chunk=6)[0]) for k in (1.0, 3.0))
    np.testing.assert_allclose(thrice(jnp.asarray(HIDDEN_BTD)), 3 * one(jnp.asarray(HIDDEN_BTD)), rtol=1e-6)
    assert not np.any(one(jnp.asarray(HIDDEN_BTD))[0, :4]) and np.all(one(jnp.asarray(HIDDEN_BTD))[0, 4:])
    assert not np.any(weighted_loss(jnp.asarray(HIDDEN_BTD), head, inputs, chunk=6)[1][0, :4])


def test_logits_are_computed_once_and_for_one_chunk_at_a_time():
    """Three products a chunk: logits, and the gradients of hidden states and of the head; no array of all logits."""
    inputs, head = inputs_of(TokenBound(V - 1)), Head(jnp.asarray(KERNEL_VD), never_V=NEVER_V)
    step = jax.jit(jax.grad(lambda h, k: weighted_loss(h, dataclasses.replace(head, kernel_VD=k), inputs, chunk=6)[0]))
    traced = str(step.trace(jnp.asarray(HIDDEN_BTD), head.kernel_VD).jaxpr)
    assert traced.count("dot_general") == 3
    assert f"f32[{B},{T},{V}]" not in traced and f"f32[{B},2,{V}]" in traced
