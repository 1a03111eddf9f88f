"""A gated activation and its written-out gradient, against autodiff of the formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.models.activations import ACTIVATIONS, gated


def plain(activation, up_BTcF):
    return ACTIVATIONS[activation](up_BTcF[:, :, 0]) * up_BTcF[:, :, 1]


@pytest.mark.parametrize("activation", ["swiglu", "geglu"])
def test_value_and_gradient_are_those_of_the_formula(activation):
    random = np.random.default_rng(0)
    up_BTcF, gradient_BTF = jnp.float32(random.normal(size=(2, 3, 2, 5))), jnp.float32(random.normal(size=(2, 3, 5)))
    (ours, pull), (expected, pull_expected) = (
        jax.vjp(lambda up: f(activation, up), up_BTcF)  # noqa: B023
        for f in (gated, plain)
    )
    np.testing.assert_allclose(ours, expected, rtol=1e-6)
    np.testing.assert_allclose(pull(gradient_BTF)[0], pull_expected(gradient_BTF)[0], rtol=1e-5, atol=1e-7)


def test_a_gate_of_zero_lets_half_of_the_value_into_its_own_gradient_and_none_into_that_of_the_value():
    up_BTcF = jnp.array([0.0, 6.0], jnp.float32).reshape(1, 1, 2, 1)
    out_BTF, pull = jax.vjp(lambda up: gated("swiglu", up), up_BTcF)
    assert out_BTF.item() == 0
    np.testing.assert_array_equal(pull(jnp.ones((1, 1, 1)))[0].ravel(), [3.0, 0.0])


def test_bfloat16_is_rounded_once_alone():
    up_BTcF = jnp.asarray(np.random.default_rng(1).normal(size=(1, 64, 2, 8)), jnp.bfloat16)
    exact_BTF = plain("swiglu", up_BTcF.astype(jnp.float32))
    np.testing.assert_array_equal(gated("swiglu", up_BTcF), exact_BTF.astype(jnp.bfloat16))
