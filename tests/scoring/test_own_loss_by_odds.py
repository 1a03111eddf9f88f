"""A loss made of odds, and its gradients, are those of autodiff through logits."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas import mosaic_gpu as plgpu

from hybridlm import masks
from hybridlm.config.mesh import MeshConfig
from hybridlm.diffusion.uniform import TokenBound
from hybridlm.facts import devices
from hybridlm.facts.head import Head
from hybridlm.facts.loss_inputs import LossInputs
from hybridlm.facts.tokens import from_columns
from hybridlm.scoring import odds, own_loss
from hybridlm.scoring.own_loss import weighted_loss
from hybridlm.sharding import mesh as meshes
from hybridlm.sharding import rules

B, T, D, V = 4, odds.TOKENS // 2, odds.DEPTH, 2 * odds.IDS
NEVER_V = jnp.arange(V) == 5


class Odd(TokenBound):
    """A loss in which every reduction has a part of its own."""

    def __call__(self, sums, inputs):
        own = sums.log_sum_exp - sums.target_logit
        return (
            own + 0.3 * jnp.tanh(sums.input_logit - sums.target_logit) + sums.sum_f / self.size + 0.1 * sums.log_sum_exp
        )


def inputs_of(loss):
    random = np.random.default_rng(0)
    ids_BT = random.choice(np.setdiff1d(np.arange(V), [5]), (2, B, T))
    ids_BT[0, :, ::3] = ids_BT[1, :, ::3]  # not every token is noisy
    return LossInputs(
        inputs_BT=jnp.asarray(ids_BT[0]),
        facts=from_columns(np.ones((B, T), int), np.arange(B * T).reshape(B, T)),
        targets_BT=jnp.asarray(ids_BT[1]),
        target_index_BT=jnp.arange(B * T).reshape(B, T),
        train_weight_BT=jnp.asarray(random.uniform(size=(B, T)) * (np.arange(T) % 4 > 0), jnp.float32),
        score_weight_BT=jnp.ones((B, T)),
        noise_BT=jnp.asarray(random.uniform(0.05, 1, (B, T)), jnp.float32),
        part_BX=jnp.zeros((B, 1), int),
        mask=masks.causal(),
        parts=(),
        loss=loss,
    )


def both(loss, dtype, monkeypatch, kernel, bias=True, sharp=1):
    """(loss, tokens' losses), gradients: through odds, and by autodiff; two chunks each."""
    random, inputs = np.random.default_rng(1), inputs_of(loss)
    hidden_BTD = jnp.asarray(random.normal(size=(B, T, D)), dtype)
    trained = (hidden_BTD, jnp.asarray(random.normal(size=(V, D)) * sharp / 4, jnp.float32), None)
    trained = (*trained[:2], jnp.asarray(random.normal(size=V), jnp.float32)) if bias else trained

    def run(hidden_BTD, kernel_VD, bias_V):
        return weighted_loss(hidden_BTD, Head(kernel_VD, bias_V, NEVER_V), inputs, chunk=B * T // 2)

    ways = jax.value_and_grad(run, argnums=(0, 1, 2) if bias else (0, 1), has_aux=True)
    plain = jax.jit(ways)(*trained)
    monkeypatch.setattr(odds, "obstacle", lambda *about: None)
    monkeypatch.setattr(odds, "odds", kernel)
    return jax.jit(lambda *trained: ways(*trained))(*trained), plain


def exact(hidden_ND, kernel_VD, bias_V, targets_N, target_logit_N):
    """The kernel's definition, not rounded."""
    logits_NV = jnp.einsum("nd,vd->nv", hidden_ND, kernel_VD) + bias_V
    is_target_NV = targets_N[:, None] == jnp.arange(V)
    odds_NV = jnp.where(is_target_NV, 0, jnp.exp(logits_NV - target_logit_N[:, None]))
    return odds_NV, odds_NV.sum(1)


def test_a_target_beyond_what_odds_tell_costs_much_and_no_infinity(monkeypatch):
    """Odds end at e^60: with sharp logits some targets are far behind their noisy token."""

    def capped(hidden_ND, kernel_VD, bias_V, targets_N, target_logit_N):
        odds_NV = jnp.minimum(exact(hidden_ND, kernel_VD, bias_V, targets_N, target_logit_N)[0], np.exp(odds.WORST))
        return odds_NV, odds_NV.sum(1)

    (found, grads), (expected, _) = both(TokenBound(V - 1), jnp.float32, monkeypatch, capped, bias=False, sharp=16)
    assert all(np.isfinite(grad).all() for grad in grads)
    np.testing.assert_allclose(found[0], expected[0], rtol=0.2)


def took_odds(monkeypatch, dtype=jnp.bfloat16, mesh=None, softcap=None, tokens=B * T, loss=None):
    """Whether a device that counts as a Hopper GPU makes the loss of odds."""
    seen, inputs = [], inputs_of(loss or TokenBound(V - 1))
    monkeypatch.setattr(devices, "CAPABILITIES", {None})
    monkeypatch.setattr(odds, "odds", lambda *given: seen.append(given) or exact(*given))
    constrain = rules.constrain(meshes.make(MeshConfig(**mesh or {"data": 1}), jax.devices()[: 2 if mesh else 1]))
    head = Head(jnp.ones((V, D)), None, NEVER_V, softcap)
    step = jax.grad(lambda hidden: weighted_loss(hidden, head, inputs, chunk=tokens, constrain=constrain)[0])
    jax.eval_shape(step, jax.ShapeDtypeStruct((B, T, D), dtype))
    about = (inputs.loss, V, D, softcap, dtype, (B, T))
    said = own_loss.explain(*about, chunk=tokens, constrain=constrain)
    assert (said == "a kernel that writes no logits") == bool(seen)
    return said


def test_odds_are_taken_where_one_device_can_and_the_loss_sums_over_the_vocabulary(monkeypatch):
    assert took_odds(monkeypatch) == "a kernel that writes no logits"
    assert took_odds(monkeypatch, dtype=jnp.float32) == f"logits of {B * T} tokens at once (float32, not bfloat16)"
    assert "(soft cap)" in took_odds(monkeypatch, softcap=30.0)
    assert "(1 shards on 2 devices)" in took_odds(monkeypatch, mesh={"data": 2})
    assert f"({B} tokens are no multiple of {odds.TOKENS})" in took_odds(monkeypatch, tokens=B)
    assert "(a loss of its own that sums nothing over the vocabulary)" in took_odds(monkeypatch, loss=nothing_summed)


def nothing_summed(sums, inputs):
    return sums.log_sum_exp - sums.target_logit


@pytest.mark.parametrize("loss", [TokenBound(V - 1), Odd(V - 1)], ids=["uniform diffusion", "every reduction"])
@pytest.mark.parametrize("bias", [True, False])
def test_the_loss_and_its_gradients_are_those_of_autodiff(loss, bias, monkeypatch):
    (found, grads), (expected, wanted) = both(loss, jnp.float32, monkeypatch, exact, bias)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)
    for ours, theirs in zip(grads, wanted, strict=True):
        assert np.linalg.norm(ours - theirs) <= 2e-5 * np.linalg.norm(theirs)
        assert np.linalg.norm(theirs)
    assert not np.any(grads[0][:, ::4]) and not np.any(grads[1][5])


def test_the_kernel_rounds_no_more_than_its_numbers(monkeypatch):
    """In Mosaic's interpreter; of 256 ids' odds of eight bits, whose errors cancel the more the more there are."""
    kernel = functools.partial(odds.odds, interpret=plgpu.InterpretGPUParams())
    (found, grads), (expected, wanted) = both(TokenBound(V - 1), jnp.bfloat16, monkeypatch, kernel)
    np.testing.assert_allclose(found[1], expected[1], rtol=2e-3)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-4)
    for ours, theirs in zip(grads, wanted, strict=True):
        ours, theirs = (np.asarray(x, np.float32) for x in (ours, theirs))
        assert np.linalg.norm(ours - theirs) <= 0.01 * np.linalg.norm(theirs)
