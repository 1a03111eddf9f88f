"""What a step costs, counted another way."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import (
    autoregressive,
    block_diffusion,
    eso_lm,
    masked_diffusion,
    masked_lm,
    prefix_lm,
    shared_ar_diffusion,
    uniform_diffusion,
    windowed_blocks,
)
from hybridlm.facts.tokens import one_document
from hybridlm.masks import materialize
from hybridlm.models import decoder, size
from hybridlm.objectives import mixture
from hybridlm.objectives.text import Ids, from_batch
from hybridlm.training import work


@pytest.fixture(scope="module")
def inputs(session):
    """Inputs of an autoregressive step, where every token is a target, and of one where masked tokens are."""
    text = from_batch({name: jnp.asarray(column) for name, column in session.stream.batch(0).items()})
    one = {"ar": autoregressive(), "masked": masked_diffusion()}
    return {
        name: mixture.build({name: objective}, text, session.task.ids, jax.random.key(0))
        for name, objective in one.items()
    }


def test_visible_tokens_are_counted_as_the_dense_mask_shows_them(inputs):
    for one in inputs.values():
        sees = np.asarray(materialize(one.mask, one.facts))
        np.testing.assert_allclose(work.mean_visible(one), sees.sum() / one.inputs_BT.size, rtol=1e-6)


def test_the_head_is_counted_for_targets_alone(inputs, session):
    model, vocab = session.task.model, session.task.vocab_size
    dense, sparse = inputs["ar"], inputs["masked"]
    positions = dense.inputs_BT.size
    every = positions * size.flops_per_token(model, vocab, 9.0)
    assert work.step_flops(model, vocab, dense, 9.0) == every
    idle = int((sparse.train_weight_BT == 0).sum())
    assert 0 < idle < positions
    without = every - idle * 6 * model.padded_vocab(vocab) * model.width
    assert work.step_flops(model, vocab, sparse, 9.0) == without
    assert work.step_flops(model, vocab, dataclasses.replace(sparse, dense=True), 9.0) == every


ROW = {
    "tokens": [[2, *range(3, 10), 2, *range(10, 13)]],
    "segment_ids": [[1] * 8 + [2] * 4],
    "positions": [[*range(8), *range(4)]],
}
"""Two documents of eight and four tokens, counted below by hand."""


@pytest.mark.parametrize(
    ("objectives", "positions", "pairs", "targets"),
    [
        ([autoregressive()], 12, 36 + 10, 12),  # a head for every position: what costs nothing to leave out, stays
        ([autoregressive(across_documents=True)], 12, 78, 12),
        ([autoregressive(window=(3, 0))], 12, (1 + 2 + 3 + 5 * 4) + 10, 12),
        ([prefix_lm(0.5, 0.5)], 12, (16 + 5 + 6 + 7 + 8) + (4 + 3 + 4), 4 + 2),
        ([masked_lm(1.0)], 12, 64 + 16, 7 + 3),
        ([masked_diffusion(rates=(1.0, 1.0))], 12, 64 + 16, 7 + 3),
        ([uniform_diffusion()], 12, 64 + 16, 7 + 3),
        ([windowed_blocks(4, 4, 1.0)], 12, (16 + 16 + 4 + 3 + 2 + 1) + 16, 7 + 3),
        ([block_diffusion(4, rates=(1.0, 1.0))], 24, 2 * (16 + 32 + 16), 7 + 3),
        ([block_diffusion(1, corruption="all")], 24, 2 * (36 + 10), 7 + 3),
        ([eso_lm(0.5)], 24, 2 * (36 + 10), 7 + 3),
        ([shared_ar_diffusion(4, rates=(1.0, 1.0))], 24, (36 + 10) + (16 + 32 + 16), 2 * (7 + 3)),
        ([autoregressive(), masked_lm(1.0)], 24, (36 + 10) + (64 + 16), 2 * (7 + 3)),
    ],
)
def test_the_work_of_every_objective_by_hand(objectives, positions, pairs, targets):
    """Layers for every position, attention for every pair that is visible, the head for every target."""
    model, vocab = ModelConfig(width=16, layers=3, heads=2, kv_heads=1, ffn=24, vocab_multiple=1), 20
    row = {name: jnp.asarray(column * len(objectives)) for name, column in ROW.items()}
    ids = Ids(mask=1, never=(0, 1, 2), size=vocab)
    inputs = mixture.build(dict(zip("ab", objectives)), from_batch(row), ids, jax.random.key(0))
    visible = work.mean_visible(inputs)
    assert visible * positions == pytest.approx(pairs)
    layer = (16 * 16 + 2 * 16 * 8) + 16 * 16 + 3 * 16 * 24  # queries, keys and values; their sum; the gated network
    by_hand = 6 * positions * 3 * layer + 12 * 3 * 16 * pairs + 6 * targets * vocab * 16
    assert work.step_flops(model, vocab, inputs, visible) == pytest.approx(by_hand)


def products(jaxpr) -> int:
    """Operations of all matrix products that a traced program holds."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            summed = np.prod([equation.invars[0].aval.shape[axis] for axis in contracted])
            total += 2 * int(summed) * equation.outvars[0].aval.size
        total += sum(map(products, jaxprs_in_params(equation.params)))
    return total


def test_the_count_is_that_of_the_products_in_a_traced_step():
    """Forward and backward of the layers, where every token sees every other and nothing else is computed."""
    vocab, T = 20, 12
    model = ModelConfig(width=16, layers=2, heads=2, kv_heads=2, ffn=24, vocab_multiple=1, loop="unroll")

    def attend(layer, q_BTHK, k_BTHK, v_BTHK, state):
        weight_BHTS = jax.nn.softmax(jnp.einsum("bthk,bshk->bhts", q_BTHK, k_BTHK))
        return jnp.einsum("bhts,bshk->bthk", weight_BHTS, v_BTHK), state

    def loss(params):
        h_BTD, _ = decoder.apply(model, vocab, params, jnp.zeros((1, T), jnp.int32), one_document(T), attend)
        return (h_BTD @ params["embedding"]["tokens"].T).sum()

    params = jax.eval_shape(lambda: decoder.init(model, vocab, jax.random.key(0)))
    step = jax.make_jaxpr(jax.grad(loss))(params)
    assert products(step.jaxpr) == T * size.flops_per_token(model, vocab, T)


@pytest.mark.parametrize(
    ("kind", "each"),
    [("NVIDIA H100 80GB HBM3", 989e12), ("TPU v5 lite", 197e12), ("TPU v5p", 459e12), ("TPU v6e", 918e12)],
)
def test_peaks_are_found_by_the_longest_name(monkeypatch, kind, each):
    monkeypatch.setattr(jax, "devices", lambda: [types.SimpleNamespace(device_kind=kind)] * 4)
    monkeypatch.setattr(jax, "device_count", lambda: 4)
    assert work.peak_flops() == 4 * each


def test_an_unknown_device_has_no_peak():
    assert work.peak_flops() is None
