"""The kernel in Mosaic's interpreter against plain autodiff, and which streams it is asked to take."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas import mosaic_gpu as plgpu

from hybridlm.config.model import ModelConfig
from hybridlm.facts import tokens
from hybridlm.models import decoder, norm_gradient
from hybridlm.models.decoder import anywhere
from hybridlm.models.norms import rms

B, T, D = 2, 4 * norm_gradient.ROWS, 2 * norm_gradient.THREADS


def arrays(dtype=jnp.bfloat16, shape=(B, T, D)):
    """A stream, a scale, and the gradients of both outputs."""
    random = np.random.default_rng(0)
    h_BTD, dh_BTD, dnormed_BTD = (jnp.asarray(random.normal(size=shape), dtype) for _ in range(3))
    return h_BTD, jnp.float32(random.normal(size=shape[2])), (dh_BTD, dnormed_BTD)


def plain(h_BTD, scale_D):
    return h_BTD, rms(h_BTD, scale_D, 1e-5, (-1,))


def both(h_BTD, scale_D, gradients, interpret=None):
    """The gradients of stream and scale: by the kernel, and by autodiff in float32."""
    _, pull = jax.vjp(lambda h, scale: norm_gradient.beside(h, scale, 1e-5, anywhere, interpret), h_BTD, scale_D)
    wide = [x.astype(jnp.float32) for x in (h_BTD, *gradients)]
    return pull(gradients), jax.vjp(plain, wide[0], scale_D)[1](tuple(wide[1:]))


def test_it_is_the_norm_beside_the_stream():
    h_BTD, scale_D, _ = arrays()
    for ours, expected in zip(norm_gradient.beside(h_BTD, scale_D, 1e-5, anywhere), plain(h_BTD, scale_D), strict=True):
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("processors", [1, 132])
def test_the_gradient_is_that_of_autodiff_however_many_rows_a_block_takes(processors, monkeypatch):
    monkeypatch.setattr(norm_gradient, "_processors", lambda: processors)
    h_BTD, scale_D, gradients = arrays()
    (dh_BTD, dscale_D), expected = both(h_BTD, scale_D, gradients, plgpu.InterpretGPUParams())
    np.testing.assert_allclose(dh_BTD.astype(jnp.float32), expected[0], rtol=2**-7, atol=2**-7)
    np.testing.assert_allclose(dscale_D, expected[1], rtol=1e-4, atol=1e-4)


class Hopper:
    compute_capability = "9.0"


@pytest.mark.parametrize(
    ("changes", "dtype", "suits"),
    [
        ({}, jnp.bfloat16, True),
        ({}, jnp.float32, False),
        ({"norm": "layer"}, jnp.bfloat16, False),
        ({"norm_placement": "post"}, jnp.bfloat16, False),
    ],
)
def test_what_it_suits(changes, dtype, suits, monkeypatch):
    h_BTD, scale_D, _ = arrays(dtype)
    asked = functools.partial(norm_gradient.suits, ModelConfig(**changes), constrain=anywhere)
    assert not asked({"scale": scale_D}, h_BTD)  # this machine has no such GPU
    monkeypatch.setattr(jax, "devices", lambda: [Hopper()])
    assert asked({"scale": scale_D}, h_BTD) is suits
    assert not asked({"scale": scale_D, "bias": scale_D}, h_BTD)
    assert not asked({"scale": scale_D}, h_BTD[:1, :1])
    assert not asked({"scale": scale_D}, h_BTD[..., :-1])


def test_it_lowers_for_a_gpu_that_is_not_there():
    h_BTD, scale_D, gradients = arrays()
    pulled = jax.jit(lambda h, scale, d: jax.vjp(lambda *x: norm_gradient.beside(*x, 1e-5, anywhere), h, scale)[1](d))
    assert "mosaic_gpu" in pulled.trace(h_BTD, scale_D, gradients).lower(lowering_platforms=("cuda",)).as_text()


def test_a_network_that_uses_it_has_the_gradients_of_one_that_does_not(monkeypatch):
    config = ModelConfig(width=D, layers=1, heads=2, kv_heads=1, ffn=8, dtype="bfloat16")
    ids_BT = jnp.arange(B * T).reshape(B, T) % 11
    params = decoder.init(config, 11, jax.random.key(0))

    def loss(params):
        hidden_BTD, _ = decoder.apply(config, 11, params, ids_BT, tokens.one_document(T), lambda n, q, k, v, s: (q, s))
        return jnp.sum(hidden_BTD.astype(jnp.float32) * jnp.linspace(-1, 1, D))

    expected = jax.grad(loss)(params)
    interpreted = functools.partial(norm_gradient.beside, interpret=plgpu.InterpretGPUParams())
    monkeypatch.setattr(norm_gradient, "suits", lambda *asked: True)
    monkeypatch.setattr(norm_gradient, "beside", interpreted)
    for ours, plain_ in zip(*map(jax.tree.leaves, (jax.grad(loss)(params), expected)), strict=True):
        assert jnp.linalg.norm(ours - plain_) < 0.02 * jnp.linalg.norm(plain_)


@pytest.mark.gpu
@pytest.mark.parametrize("width", [256, 768, 1024, 2048, norm_gradient.WIDEST])
def test_a_real_card_agrees_with_autodiff_twice_alike(width):
    """JAX_PLATFORMS=cuda python -m pytest -n0 -m gpu tests/models/test_norm_gradient.py"""
    if jax.default_backend() != "gpu":
        pytest.skip(f"the kernel needs an NVIDIA GPU, and this is {jax.default_backend()}")
    given = arrays(shape=(3, 1004, width))
    jax.block_until_ready([jnp.full(2**26, jnp.nan) for _ in range(4)])
    found, expected = both(*given)
    for ours, again, exact in zip(found, both(*given)[0], expected, strict=True):
        assert jnp.linalg.norm(ours - exact) < 5e-3 * jnp.linalg.norm(exact)
        np.testing.assert_array_equal(ours, again)
