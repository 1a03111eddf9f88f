"""The loop over layers changes how the work is done, never the checkpoint and never the numbers."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.config.model import ModelConfig
from hybridlm.facts import tokens
from hybridlm.models import decoder
from hybridlm.models.stack import over_layers

SMALL = {"width": 16, "heads": 2, "kv_heads": 1, "ffn": 24, "layers": 2}
IDS = jnp.array([[1, 5, 2, 7]], jnp.int32)


def mix(layer, q, k, v, state):
    """Causal linear attention without a normaliser: as good as any for loops, and quick to compile."""
    return q * jnp.cumsum(k * v, axis=1), state


def loss(params, config):
    hidden, _ = decoder.apply(config, 11, params, IDS, tokens.one_document(4), mix)
    return jnp.sum(hidden * jnp.linspace(-1, 1, 16))


def shapes(**switches):
    return decoder.shapes(ModelConfig(**SMALL | switches), 11)


@pytest.fixture(scope="module")
def reference():
    config, rng = ModelConfig(**SMALL), np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0, 0.3, leaf.shape), jnp.float32), shapes())
    return params, jax.jit(jax.value_and_grad(loss), static_argnums=1)(params, config)


@pytest.mark.parametrize(("loop", "remat"), [("scan", "none"), ("scan", "full"), ("unroll", "dots")])
def test_every_loop_gives_the_same_loss_and_gradient(reference, loop, remat):
    params, expected = reference
    config = ModelConfig(**SMALL, loop=loop, remat=remat)
    found = jax.jit(jax.value_and_grad(loss), static_argnums=1)(params, config)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6), found, expected)


def late_loss(params, config, first, skip):
    """Of tokens 2 and 3 alone, out of those that the network gives from `first` on."""
    hidden, _ = decoder.apply(config, 11, params, IDS, tokens.one_document(4), mix, first=first)
    return jnp.sum(hidden[:, skip:] * jnp.linspace(-1, 1, config.width))


@pytest.mark.parametrize("loop", ["scan", "unroll"])
@pytest.mark.parametrize("remat", ["none", "full"])
def test_tokens_that_the_last_layer_leaves_out_change_no_number(reference, loop, remat):
    """Neither the loss of the others, nor any gradient, though they have keys and values in every layer."""
    gradient = jax.jit(jax.value_and_grad(late_loss), static_argnums=(1, 2, 3))
    config = ModelConfig(**SMALL, loop=loop, remat=remat)
    found, expected = gradient(reference[0], config, 2, 0), gradient(reference[0], config, 0, 2)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), found, expected)


def test_what_is_left_out_costs_nothing_behind_the_attention_of_the_last_layer():
    """Of its 24 kernels of D x D, forward and backward, half the tokens do without 1 + 8."""
    shape = {"width": 96, "heads": 2, "kv_heads": 2, "ffn": 256, "layers": 2}
    config = ModelConfig(**shape)
    params = decoder.shapes(config, 11)

    def flops(first):
        step = jax.jit(jax.grad(late_loss), static_argnums=(1, 2, 3))
        return step.lower(params, config, first, 2 - first).compile().cost_analysis()["flops"]

    whole, cut = flops(0), flops(2)
    assert whole == pytest.approx(6 * 4 * 96**2 * 24, rel=0.05)
    assert whole - cut == pytest.approx(6 * 2 * 96**2 * 9, rel=0.05)


def test_the_checkpoint_is_the_same_for_every_loop():
    assert shapes(loop="scan", remat="full") == shapes(loop="unroll", remat="none")


@pytest.mark.parametrize("loop", ["scan", "unroll"])
@pytest.mark.parametrize("remat", ["none", "full"])
def test_state_reaches_its_own_layer_and_comes_back_stacked(loop, remat):
    def step(number, params, h, state):
        return h + params, {"sum": state["sum"] + h[0, 0, 0], "layer": jnp.asarray(number)}

    stacked, state = jnp.array([1.0, 10.0, 100.0]), {"sum": jnp.array([0.5, 0.25, 0.125]), "layer": jnp.zeros(3)}
    h, state = over_layers(step, step, stacked, jnp.zeros((1, 1, 1)), state, loop=loop, remat=remat)
    assert h.item() == 111
    assert state["sum"].tolist() == [0.5, 1.25, 11.125]
    assert state["layer"].tolist() == [0, 1, 2]


def gradient(remat, **switches):
    config = ModelConfig(**SMALL | switches, remat=remat)
    return str(jax.make_jaxpr(jax.grad(lambda p: loss(p, config)))(shapes(**switches)))


def operations(remat):
    return re.findall(r"\b(\w+)\[", gradient(remat))


def test_gradient_of_a_stacked_leaf_is_one_stack_and_no_padding():
    """Padding would write zeros for all other layers."""
    padding = r"f32\[3,[\d,]*\] = pad\["
    text = gradient("none", layers=3)
    assert text.count("unstack[") >= len(jax.tree.leaves(shapes()["layers"]))
    assert not re.findall(padding, text)
    sliced = jax.make_jaxpr(jax.grad(lambda x_LD: x_LD[0].sum()))(jnp.ones((3, 4)))
    assert re.findall(padding, str(sliced)), "else this would see no padding at all"


def test_rematerialisation_repeats_products_only_where_it_was_asked_to():
    none, dots, full = (operations(remat).count("dot_general") for remat in ("none", "dots", "full"))
    assert none == dots < full
