import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.diffusion.levels import even_times, numbers


def test_groups_are_numbered_in_row_order_over_the_batch():
    group_BT = jnp.array([[1, 1, 2, 2, 0], [1, 1, 1, 1, 3]])
    is_member_BT = group_BT > 0
    assert numbers(group_BT, is_member_BT).tolist() == [[0, 0, 1, 1, 1], [2, 2, 2, 2, 3]]


@pytest.mark.parametrize("count", [10, 1000])
def test_any_run_of_groups_is_spread_more_evenly_than_chance(count):
    """The largest gap between x and the share of times below x; independent draws give about 0.9 / √count."""
    for first in (0, 12_345):
        t = np.sort(np.asarray(even_times(jax.random.key(first), jnp.arange(first, first + count)[None]))[0])
        share = np.arange(count + 1) / count
        discrepancy = max(np.abs(share[1:] - t).max(), np.abs(t - share[:-1]).max())
        assert discrepancy < 3 / count
        assert np.all(t > 0)
        assert np.all(t <= 1)


def test_each_group_alone_is_uniform():
    keys = jax.random.split(jax.random.key(0), 4000)
    t = np.asarray(jax.vmap(lambda key: even_times(key, jnp.array([[0, 7]])))(keys))[:, 0]
    np.testing.assert_allclose(np.quantile(t, [0.1, 0.5, 0.9], axis=0).T, [[0.1, 0.5, 0.9]] * 2, atol=0.025)


def test_shifted_samples_are_even_for_every_group_by_itself():
    t = [even_times(jax.random.key(1), jnp.arange(6)[None], shift=sample / 4) for sample in range(4)]
    np.testing.assert_allclose(np.diff(np.sort(np.concatenate(t), axis=0), axis=0), 1 / 4, atol=1e-6)
