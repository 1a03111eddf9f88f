import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridlm.diffusion.levels import even_times, numbers

MANY = 4096
"""One shape for all tests; the first n numbers are n groups."""


def times(seed, shift=0.0):
    number_BT = jnp.arange(MANY, dtype=jnp.int32)[None]
    return np.asarray(even_times(jax.random.key(seed), number_BT, shift=shift), np.float64)[0]


@settings(max_examples=10)
@given(seed=st.integers(0, 2**31), groups=st.integers(2, MANY))
def test_neighbouring_times_of_any_number_of_groups_lie_three_distances_apart(seed, groups):
    gaps = np.diff(np.sort(times(seed)[:groups]))
    gaps = np.append(gaps, 1 - gaps.sum())
    assert (
        len(np.unique(np.round(gaps * 2**22))) <= 2 * 3
    )  # three distances (Sós 1958), each rounded to one of two numbers
    assert gaps.max() < 2 / groups
    assert gaps.min() > 0.38 / groups


def test_any_run_of_groups_is_as_even_as_the_first(groups=100):
    for first in (0, 1, 777, MANY - groups):
        gaps = np.diff(np.sort(times(0)[first : first + groups]))
        assert gaps.max() < 2 / groups


def test_each_group_alone_is_uniform():
    number_BT = jnp.arange(3, dtype=jnp.int32)[None]
    drawn = jax.vmap(lambda key: even_times(key, number_BT))(jax.random.split(jax.random.key(0), 500))
    for group in np.asarray(drawn)[:, 0].T:
        counts, _ = np.histogram(group, bins=10, range=(0, 1))
        assert np.sum((counts - 50) ** 2 / 50) < 27.9  # chi-square of 9 degrees of freedom, 99.9 %


def test_times_go_round_from_one_to_the_smallest_and_miss_zero():
    step = 2.0**-24
    for seed in range(5):
        drawn = times(seed)
        np.testing.assert_array_equal(drawn / step, np.round(drawn / step))
        assert times(seed, shift=drawn[7])[7] == 1
        assert times(seed, shift=drawn[7] - step)[7] == step
        assert drawn.min() >= step
        assert drawn.max() <= 1


@pytest.mark.parametrize("samples", [2, 5, 8])
def test_shifted_samples_of_one_group_are_even_by_themselves(samples):
    drawn = np.stack([times(3, shift=k / samples) for k in range(samples)])
    bins = np.ceil(drawn * samples - 1e-5)
    for group in (0, 1, 2, 3000):
        gaps = np.diff(np.sort(drawn[:, group]))
        np.testing.assert_allclose(gaps, 1 / samples, atol=2.0**-22)
    assert bins.max() <= samples


def test_groups_are_numbered_over_the_whole_batch():
    group_BT = jnp.array([[0, 0, 0, 3, 3, 5], [0, 0, 1, 1, 1, 1], [0, 1, 2, 3, 4, 5], [7, 7, 0, 0, 0, 7]])
    is_member_BT = jnp.array([[1, 1, 1, 1, 1, 0], [1] * 6, [0] * 6, [1] * 6]).astype(bool)
    found = np.asarray(numbers(group_BT, is_member_BT))
    assert found[np.asarray(is_member_BT)].tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 5, 6]


def test_equal_ids_in_two_rows_are_two_groups_with_two_times():
    group_BT = jnp.zeros((3, 4), jnp.int32)
    drawn = np.asarray(even_times(jax.random.key(1), numbers(group_BT, group_BT == 0)))
    assert np.all(drawn == drawn[:, :1])
    assert len(set(drawn[:, 0])) == 3
