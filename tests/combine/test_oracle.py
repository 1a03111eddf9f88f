import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.combine.oracle import oracle_switch
from hybridlm.combine.rules import linear

A, B = jnp.array([1.0, 5.0, 2.0]), jnp.array([3.0, 0.5, 2.0])


def test_the_floor_is_the_lower_cost_of_each_token():
    oracle = oracle_switch(A, B)
    np.testing.assert_array_equal(oracle.floor_N, [1, 0.5, 2])
    np.testing.assert_array_equal(oracle.is_first_N, [True, False, True])
    assert oracle.floor(jnp.array([True, True, False])) == 0.75


def test_it_is_no_distribution():
    """Over a vocabulary of two, its "probabilities" sum to more than 1; those of a model do not."""
    a, b = jnp.log(jnp.array([0.9, 0.1])), jnp.log(jnp.array([0.2, 0.8]))
    assert jnp.exp(-oracle_switch(-a, -b).floor_N).sum() > 1.5
    np.testing.assert_allclose(jnp.exp(linear(a, b, jnp.array(0.5))).sum(), 1, rtol=1e-6)


@pytest.mark.parametrize("use", [jnp.mean, jnp.sum, jnp.asarray, np.log, lambda x: x + A, lambda x: float(x)])
def test_it_passes_for_no_score(use):
    with pytest.raises(TypeError):
        use(oracle_switch(A, B))
