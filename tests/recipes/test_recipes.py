"""The recipes of the documentation run as they stand, are short, and say of a text what a plain loop says."""

import importlib.util
import pathlib

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from hybridlm.categories.tables import flat_labels

RECIPES = pathlib.Path("docs/recipes")
IDS = jnp.array([[1, 2, 3, 5, 4, 6], [1, 7, 3, 4, 6, 0]])


def recipe(name):
    spec = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["plain_jax_step", "nnx_step"])
def test_a_recipe_has_at_most_thirty_lines_and_needs_no_config(name):
    text = (RECIPES / f"{name}.py").read_text()
    assert len(text.splitlines()) <= 30
    assert not any(room in text for room in ("hybridlm.config", "hybridlm.models", "hybridlm.training", "linen"))


class Model(nnx.Module):
    """Somebody's own."""

    def __init__(self, vocab_size, width, rngs):
        self.embed, self.mix = nnx.Embed(vocab_size, width, rngs=rngs), nnx.Linear(width, width, rngs=rngs)

    def __call__(self, ids_BT):
        return nnx.tanh(self.mix(self.embed(ids_BT)))


def means(tables, total_C, count_C, family):
    """Label -> mean of the labels that occur."""
    rows = zip(tables.names, total_C, count_C)
    return {label: total / count for (name, label), total, count in rows if name == family and count}


def test_a_plain_step_learns_and_tells_the_loss_by_kind():
    module = recipe("plain_jax_step")
    params, losses = module.params, []
    for _ in range(20):
        before = params
        params, loss, sums = module.step(params, module.tables, IDS)
        losses.append(float(loss))
    assert losses[-1] < 0.5 * losses[0]
    h_BTD = jnp.tanh(before["embedding"][IDS[:, :-1]] @ before["out"])
    logits_BTV = h_BTD @ before["embedding"].T
    nll_BT = optax.softmax_cross_entropy_with_integer_labels(logits_BTV, IDS[:, 1:])
    brackets = np.isin(IDS[:, 1:], (3, 4))
    found = means(module.tables, sums.total_PC[0], sums.count_PC[0], "character_type")
    np.testing.assert_allclose(found["bracket"], np.mean(nll_BT[brackets]), rtol=1e-5)


def test_an_nnx_step_tells_metrics_by_document_and_kind():
    module, tables = recipe("nnx_step"), recipe("plain_jax_step").tables
    model = Model(8, 16, nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(0.05), wrt=nnx.Param)
    labels_MBT = flat_labels(tables, IDS[:, 1:], {})
    document_BT = jnp.broadcast_to(jnp.arange(2)[:, None], (2, 5))
    for _ in range(30):
        logits_BTV = model.embed.attend(model(IDS[:, :-1]))
        loss, sums = module.step(
            model, optimizer, IDS, labels_MBT, document_BT, categories=len(tables.names), clusters=2
        )
    nll_BT = optax.softmax_cross_entropy_with_integer_labels(logits_BTV, IDS[:, 1:])
    is_right_BT = np.asarray(logits_BTV.argmax(-1) == IDS[:, 1:])
    for document, is_bracket_T in enumerate(np.isin(IDS[:, 1:], (3, 4))):
        nll, accuracy = (
            means(tables, sums.total_PC[k, document], sums.count_PC[document], "character_type")["bracket"]
            for k in (0, 4)
        )
        np.testing.assert_allclose(nll, np.mean(nll_BT[document][is_bracket_T]), rtol=1e-4)
        assert accuracy == is_right_BT[document][is_bracket_T].mean()
    assert float(loss) < 1
