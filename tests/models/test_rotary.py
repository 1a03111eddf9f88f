"""Rotary positions: inner products of queries and keys know only how far apart the tokens are."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridlm.config.model import ModelConfig
from hybridlm.models.rotary import rotate, rotation

HALF = ModelConfig(width=16, heads=2, kv_heads=2, rotary_fraction=0.5)


def heads(seed, config=HALF):
    return jax.random.normal(jax.random.key(seed), (1, 5, config.heads, config.key_width))


@settings(max_examples=10)
@given(shift=st.integers(0, 500), fraction=st.sampled_from([0.5, 1.0]))
def test_inner_products_do_not_change_when_all_positions_shift(shift, fraction):
    config = ModelConfig(width=16, heads=2, kv_heads=2, rotary_fraction=fraction)
    here = rotation(config, jnp.arange(5)[None])
    there = rotation(config, jnp.arange(5)[None] + shift)
    products = [jnp.einsum("bthk,bshk->bhts", rotate(heads(0), turn), rotate(heads(1), turn)) for turn in (here, there)]
    np.testing.assert_allclose(*products, atol=2e-4)


def test_a_turn_keeps_lengths_the_first_position_and_the_numbers_beyond_the_fraction():
    x = heads(2)
    turned = rotate(x, rotation(HALF, jnp.array([[0, 1, 2, 3, 1000]])))
    np.testing.assert_allclose(jnp.linalg.norm(turned, axis=-1), jnp.linalg.norm(x, axis=-1), rtol=1e-5)
    np.testing.assert_array_equal(turned[:, 0], x[:, 0])
    np.testing.assert_array_equal(turned[..., 4:], x[..., 4:])
    assert not np.allclose(turned[:, 1:, :, :4], x[:, 1:, :, :4], atol=1e-2)


def test_bfloat16_is_turned_in_float32():
    turn = rotation(HALF, jnp.full((1, 5), 12_345))
    x = heads(3).astype(jnp.bfloat16)
    expected = rotate(x.astype(jnp.float32), turn).astype(jnp.bfloat16)
    np.testing.assert_array_equal(rotate(x, turn), expected)


def test_models_without_rotary_positions_turn_nothing():
    assert rotation(ModelConfig(positions="none"), jnp.zeros((1, 2), jnp.int32)) is None
    assert rotation(ModelConfig(rotary_fraction=0.0), jnp.zeros((1, 2), jnp.int32)) is None
