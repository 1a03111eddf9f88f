"""What a step costs, counted another way."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.config.objective import autoregressive, masked_diffusion
from hybridlm.masks import materialize
from hybridlm.models import size
from hybridlm.objectives import mixture
from hybridlm.objectives.text import from_batch
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
