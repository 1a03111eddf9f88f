"""Norms against float64, and the invariances that name them."""

import jax
import jax.numpy as jnp
import numpy as np

from hybridlm.config.model import ModelConfig
from hybridlm.models.norms import norm

RMS, LAYER = ModelConfig(norm="rms", norm_eps=1e-6), ModelConfig(norm="layer", norm_eps=1e-6)
X = jax.random.normal(jax.random.key(0), (1, 3, 8)) + 2
PARAMS = {"scale": jnp.linspace(0.5, 2, 8)}
BIASED = PARAMS | {"bias": jnp.linspace(-1, 1, 8)}


def test_rms_and_layer_norm_equal_their_definitions():
    x, scale, bias = (np.asarray(a, np.float64) for a in (X, BIASED["scale"], BIASED["bias"]))
    expected = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * scale
    np.testing.assert_allclose(norm(RMS, PARAMS, X), expected, rtol=1e-5)
    expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6) * scale + bias
    np.testing.assert_allclose(norm(LAYER, BIASED, X), expected, rtol=1e-4, atol=1e-5)


def test_only_layer_norm_ignores_a_constant_and_both_ignore_scale():
    np.testing.assert_allclose(norm(LAYER, BIASED, X + 100), norm(LAYER, BIASED, X), atol=1e-3)
    assert not np.allclose(norm(RMS, PARAMS, X + 100), norm(RMS, PARAMS, X), atol=0.1)
    for config, params in ((RMS, PARAMS), (LAYER, BIASED)):
        np.testing.assert_allclose(norm(config, params, 1000 * X), norm(config, params, X), atol=1e-4)


def test_statistics_are_float32_also_for_bfloat16():
    # 300 ones and one 256 sum to 556; counting up in bfloat16 would stop at 256.
    x = jnp.concatenate([jnp.full((1, 1, 1), 16.0), jnp.ones((1, 1, 300))], axis=-1).astype(jnp.bfloat16)
    answer = norm(RMS, {"scale": jnp.ones(301)}, x)
    assert answer.dtype == jnp.bfloat16
    np.testing.assert_allclose(answer[0, 0, 1].astype(jnp.float32), (301 / 556) ** 0.5, rtol=4e-3)
