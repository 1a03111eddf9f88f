import jax.numpy as jnp
import numpy as np

from hybridlm.combine.calibration import adjusted, by_band, tilted
from hybridlm.combine.rules import normalised
from hybridlm.facts.head import NEVER

P = jnp.array([0.6, 0.3, 0.1])


def test_tau_of_1_takes_the_prior_out_and_puts_rare_ids_first():
    """0.6/0.8, 0.3/0.15, 0.1/0.05 = 0.75, 2, 2, over their sum."""
    prior = jnp.array([0.8, 0.15, 0.05])
    found = adjusted(jnp.log(P), jnp.log(prior), 1.0)
    np.testing.assert_allclose(jnp.exp(found), np.array([0.75, 2, 2]) / 4.75, rtol=1e-5)
    np.testing.assert_allclose(jnp.exp(adjusted(jnp.log(P), jnp.log(prior), 0.0)), P, rtol=1e-6)


def test_bands_have_a_temperature_and_a_bias_each():
    """Ids 0 and 1 squared, id 2 tripled: 0.36, 0.09, 0.3, over their sum."""
    found = by_band(jnp.log(P), jnp.array([0, 0, 1]), jnp.array([2.0, 1.0]), jnp.array([0.0, np.log(3)]))
    np.testing.assert_allclose(jnp.exp(found), np.array([0.36, 0.09, 0.3]) / 0.75, rtol=1e-5)


def test_no_offset_makes_the_impossible_possible():
    found = tilted(normalised(jnp.array([0.0, NEVER])), jnp.array([1e-3, 1e-3]), jnp.array([-1e4, 1e4]))
    np.testing.assert_array_equal(jnp.exp(found), [1, 0])
