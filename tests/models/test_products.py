"""A single token takes another road through a layer, and arrives where it arrives among others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.config.model import ModelConfig
from hybridlm.models import products
from hybridlm.models.norms import rms

D, N = 6, 4
CONFIG = ModelConfig(width=D, heads=1, kv_heads=1, ffn=8)


def spread(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(0, 1, shape), jnp.float32)


STREAM = spread(0, 2, 1, D)
NORM = {"scale": 1 + spread(1, D) / 4}
KERNELS = {
    "plain": {"up": spread(2, D, N)},
    "two axes and a bias": {"up": spread(3, D, 2, N), "up_bias": spread(4, 2, N)},
}
PATTERNS = {"plain": "btd,dn->btn", "two axes and a bias": "btd,dcn->btcn"}


@pytest.mark.parametrize("case", KERNELS)
def test_reading_through_a_norm(case):
    """W (r x s), as the formula has it, for a row alone and for two."""
    params, pattern = KERNELS[case], PATTERNS[case]
    normed = rms(STREAM, NORM["scale"], CONFIG.norm_eps, (-1,))
    want = jnp.einsum(pattern, normed, params["up"]) + params.get("up_bias", 0)
    for rows in (STREAM, STREAM[:1]):
        found = products.read(CONFIG, NORM, rows, None, pattern, params, "up")
        np.testing.assert_allclose(found, want[: len(rows)], rtol=1e-5, atol=1e-5)


def test_adding_to_the_stream():
    x, params = spread(5, 2, 1, 3, N), {"out": spread(6, 3, N, D), "out_bias": spread(7, D)}
    want = STREAM + jnp.einsum("bthk,hkd->btd", x, params["out"]) + params["out_bias"]
    for rows in (2, 1):
        found = products.add(STREAM[:rows], "bthk,hkd->btd", x[:rows], params, "out")
        np.testing.assert_allclose(found, want[:rows], rtol=1e-5, atol=1e-5)


def test_a_single_token_keeps_the_dtype_of_the_stream_and_its_sum_is_exact():
    """256 + 1 is no bfloat16, but 256 + 1 + 1 is: the stream joins the sum before it is rounded."""
    params = {"out": jnp.ones((2, D), jnp.bfloat16)}
    found = products.add(jnp.full((1, 1, D), 256.0, jnp.bfloat16), "btn,nd->btd", jnp.ones((1, 1, 2)), params, "out")
    assert found.dtype == jnp.bfloat16 and (found == 258).all()


def test_a_single_token_has_the_gradient_of_two_halves():
    def cost(rows, params):
        read = products.read(CONFIG, NORM, rows, None, "btd,dn->btn", params, "up")
        return jnp.square(products.add(rows, "btn,nd->btd", read, params, "down")).mean()

    params = {"up": spread(8, D, N), "down": spread(9, N, D)}
    one = jax.grad(cost, 1)(STREAM[:1], params)
    twice = jax.grad(cost, 1)(jnp.concatenate([STREAM[:1]] * 2), params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), one, twice)
