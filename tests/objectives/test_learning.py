"""Twenty steps of every named objective through a real network, on a text of one word that is easily learned."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hybridlm.attention import dense
from hybridlm.attention.plans import Plan
from hybridlm.config.model import ModelConfig
from hybridlm.masks import materialize
from hybridlm.models import decoder
from hybridlm.objectives import single
from hybridlm.scoring.reductions import nll, vocabulary_reductions
from tests.objectives.conftest import OBJECTIVES

CONFIG = ModelConfig(width=8, layers=1, heads=2, kv_heads=2, ffn=12, tied_head=False)
STEPS, WORD = 20, 7
OPTIMIZER = optax.adam(0.05)


@functools.partial(jax.jit, static_argnames="steps")
def losses(params, inputs, sees_BTT, steps):
    """Trains on equal parts of the rows, one after the other; returns the loss before each step, per target."""

    def loss(params, inputs, sees_BTT):
        plan = Plan(dense, sees_BTT)
        hidden_BTD, _ = decoder.apply(CONFIG, 40, params, inputs.inputs_BT, inputs.facts, plan.mix)
        of = (inputs.targets_BT, inputs.inputs_BT)
        if inputs.loss is not None:
            of = (*of, inputs.loss.f, (inputs.noise_BT,))
        reduced = vocabulary_reductions(hidden_BTD, decoder.head(params, CONFIG, 40, (0, 1, 2)), *of, chunk=96)
        cost_BT = nll(reduced) if inputs.loss is None else inputs.loss(reduced, inputs)
        return jnp.sum(steps * inputs.train_weight_BT * jnp.where(inputs.train_weight_BT != 0, cost_BT, 0))

    def step(state, number):
        params, moments = state
        rows = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, number * size, size), (inputs, sees_BTT))
        value, gradient = jax.value_and_grad(loss)(params, *rows)
        updates, moments = OPTIMIZER.update(gradient, moments)
        return (optax.apply_updates(params, updates), moments), value

    size = len(sees_BTT) // steps
    return jax.lax.scan(step, (params, OPTIMIZER.init(params)), jnp.arange(steps))[1]


def train(inputs, steps, seed=0):
    """The losses of a small network on what an objective asks of it."""
    sees_BTT, draw = materialize(inputs.mask, inputs.facts), np.random.default_rng(seed)
    # what is static is left out, so that objectives share a compiled step
    facts = dataclasses.replace(inputs.facts, extra={}, in_order=False)
    inputs = dataclasses.replace(inputs, facts=facts, mask=None, parts=(), dense=False)
    params = jax.tree.map(lambda x: jnp.asarray(draw.normal(0, 0.3, x.shape), x.dtype), decoder.shapes(CONFIG, 40))
    return np.asarray(losses(params, inputs, sees_BTT, steps))


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if " " not in name or "GPT-BERT" in name])
def test_twenty_steps_learn_a_text_of_one_word(name, text, ids):
    many = jax.tree.map(lambda column: jnp.tile(column, (STEPS, 1)), text)
    many = dataclasses.replace(many, tokens_BT=jnp.where(many.is_target_BT, WORD, many.tokens_BT))
    found = train(single.build(name, OBJECTIVES[name], many, ids, jax.random.key(0)), STEPS)
    assert np.isfinite(found).all()
    assert np.mean(found[:3]) > 1
    assert np.mean(found[-5:]) < 0.35 * np.mean(found[:5])
