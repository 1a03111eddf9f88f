import jax.numpy as jnp
import numpy as np

from hybridlm.combine.rules import linear, log_linear, normalised
from hybridlm.facts.head import NEVER

A, B = jnp.log(jnp.array([0.8, 0.1, 0.1])), jnp.log(jnp.array([0.2, 0.2, 0.6]))


def test_linear_by_hand():
    np.testing.assert_allclose(jnp.exp(linear(A, B, jnp.array(0.25))), [0.35, 0.175, 0.475], rtol=1e-6)


def test_log_linear_by_hand():
    """√(0.8·0.2) = 0.4, √(0.1·0.2) = 0.1414, √(0.1·0.6) = 0.2449, over their sum."""
    found = jnp.exp(log_linear(A, B, jnp.array(0.5)))
    np.testing.assert_allclose(found, np.array([0.4, 0.141421, 0.244949]) / 0.786370, rtol=1e-5)


def test_the_product_wants_both_and_the_average_one():
    """Where one expert rules an id out, a product has it at 0 and an average at half."""
    a, b = normalised(jnp.array([0.0, NEVER, 0.0])), normalised(jnp.array([NEVER, 0.0, 0.0]))
    np.testing.assert_allclose(jnp.exp(linear(a, b, jnp.array(0.5))), [0.25, 0.25, 0.5], rtol=1e-6)
    np.testing.assert_array_equal(jnp.exp(log_linear(a, b, jnp.array(0.5))), [0, 0, 1])


def test_normalised_takes_minus_infinity_for_never():
    np.testing.assert_array_equal(normalised(jnp.array([-jnp.inf, 3.0])), jnp.array([NEVER, 0], jnp.float32))
