import jax
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridlm.diffusion.times import low_discrepancy


@settings(max_examples=12)
@given(seed=st.integers(0, 2**31), shape=st.sampled_from([(1,), (2, 5, 3), (64, 16)]))
def test_every_bin_gets_exactly_one_time(seed, shape):
    t = np.asarray(low_discrepancy(jax.random.key(seed), shape))
    edges = np.arange(t.size + 1) / t.size
    ordered = np.sort(t.ravel())
    assert t.shape == shape
    assert np.all(t > 0)
    assert np.all(t <= 1)
    assert np.all(ordered >= edges[:-1])
    assert np.all(ordered <= np.nextafter(edges[1:].astype(np.float32), 2))


def test_every_slot_is_uniform_and_no_two_neighbours_are_tied():
    keys = jax.random.split(jax.random.key(0), 4000)
    t = np.asarray(jax.vmap(lambda key: low_discrepancy(key, (5,)))(keys))
    np.testing.assert_allclose(t.mean(0), 0.5, atol=0.02)
    np.testing.assert_allclose(t.var(0), 1 / 12, atol=0.005)
    correlations = np.corrcoef(t.T)[~np.eye(5, dtype=bool)]
    np.testing.assert_allclose(correlations, -1 / 5, atol=0.06)  # bins dealt without replacement, offset shared: -1/n


def test_the_mean_over_slots_hardly_varies():
    keys = jax.random.split(jax.random.key(1), 500)
    t = np.asarray(jax.vmap(lambda key: low_discrepancy(key, (64,)))(keys))
    independent = np.sqrt(1 / 12 / 64)
    assert t.mean(1).std() < independent / 7
