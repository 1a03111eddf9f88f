import collections
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridlm.diffusion import absorbing, schedules

LINEAR = schedules.from_name("linear")
MASK = 9


def _corrupted(t, seed=0, shape=(64, 256)):
    tokens_BT = jnp.zeros(shape, jnp.int32)
    is_maskable_BT = jnp.broadcast_to(jnp.arange(shape[1]) % 4 != 0, shape)
    t_BT = jnp.full(shape, t)
    noisy_BT, is_masked_BT = absorbing.corrupt(jax.random.key(seed), tokens_BT, t_BT, LINEAR, MASK, is_maskable_BT)
    return np.asarray(noisy_BT), np.asarray(is_masked_BT), np.asarray(is_maskable_BT)


def test_nothing_is_masked_at_0_and_everything_maskable_at_1():
    _, is_masked_BT, _ = _corrupted(0.0)
    assert not is_masked_BT.any()
    noisy_BT, is_masked_BT, is_maskable_BT = _corrupted(1.0)
    np.testing.assert_array_equal(is_masked_BT, is_maskable_BT)
    np.testing.assert_array_equal(noisy_BT, np.where(is_maskable_BT, MASK, 0))


def test_the_masked_share_is_one_minus_alpha_and_the_rest_is_untouched():
    noisy_BT, is_masked_BT, is_maskable_BT = _corrupted(0.3)
    assert is_masked_BT[is_maskable_BT].mean() == pytest.approx(0.3, abs=0.015)
    assert not is_masked_BT[~is_maskable_BT].any()
    np.testing.assert_array_equal(noisy_BT == MASK, is_masked_BT)


def test_time_may_differ_from_token_to_token():
    t_BT = jnp.tile(jnp.array([[0.0, 1.0, 0.5]]), (1, 400))
    tokens_BT, everywhere_BT = jnp.zeros(t_BT.shape, jnp.int32), jnp.ones(t_BT.shape, bool)
    _, is_masked_BT = absorbing.corrupt(jax.random.key(0), tokens_BT, t_BT, LINEAR, MASK, everywhere_BT)
    share = np.asarray(is_masked_BT).reshape(-1, 3).mean(0)
    np.testing.assert_allclose(share, [0, 1, 0.5], atol=0.07)


@st.composite
def _rows(draw):
    runs = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5)), min_size=1, max_size=5))
    group_T = np.concatenate([np.full(length, group) for group, length in runs])[:12]
    group_T = np.pad(group_T, (0, 12 - group_T.size))
    is_maskable_T = draw(st.lists(st.booleans(), min_size=12, max_size=12))
    return group_T, np.array(is_maskable_T)


_fixed_count = jax.jit(absorbing.fixed_count)


@settings(max_examples=40)
@given(rows=st.lists(_rows(), min_size=2, max_size=2), seed=st.integers(0, 2**31))
def test_every_group_masks_exactly_its_count(rows, seed):
    group_BT, is_maskable_BT = (np.stack(column) for column in zip(*rows))
    levels = np.random.default_rng(seed).uniform(1e-3, 1, size=4).astype(np.float32)
    level_BT = levels[group_BT]
    is_masked_BT, count_BT, size_BT = map(
        np.asarray, _fixed_count(jax.random.key(seed), group_BT, is_maskable_BT, level_BT)
    )
    assert not is_masked_BT[~is_maskable_BT].any()
    for b, row in enumerate(group_BT):
        for _, run in itertools.groupby(range(row.size), key=lambda i, row=row: row[i]):
            run = list(run)
            size = is_maskable_BT[b, run].sum()
            count = math.ceil(levels[row[run[0]]] * np.float32(size))
            np.testing.assert_array_equal(size_BT[b, run], size)
            np.testing.assert_array_equal(count_BT[b, run], count)
            assert is_masked_BT[b, run].sum() == count


@pytest.mark.parametrize(("level", "count"), [(1e-7, 1), (0.25, 1), (0.2500001, 2), (0.75, 3), (1.0, 4)])
def test_level_rounds_up_to_a_count_between_one_and_all(level, count):
    is_masked_BT, count_BT, _ = _fixed_count(
        jax.random.key(0), jnp.ones((1, 4), jnp.int32), jnp.ones((1, 4), bool), jnp.full((1, 4), level)
    )
    assert np.asarray(count_BT).tolist() == [[count] * 4]
    assert int(is_masked_BT.sum()) == count


def test_every_set_of_the_count_is_equally_likely():
    draws = 6000
    is_masked_BT, _, _ = _fixed_count(
        jax.random.key(3),
        jnp.broadcast_to(jnp.array([5, 5, 5, 5, 5, 7, 7]), (draws, 7)),
        jnp.broadcast_to(jnp.array([True, True, False, True, True, True, True]), (draws, 7)),
        jnp.full((draws, 7), 0.5),
    )
    seen = collections.Counter(map(tuple, np.asarray(is_masked_BT)[:, [0, 1, 3, 4]].astype(int).tolist()))
    assert len(seen) == math.comb(4, 2)
    np.testing.assert_allclose(list(seen.values()), draws / 6, rtol=0.12)


def _expected_costs(share, subsets, cost_SL):
    """E over masked sets of weight × cost, per token; `share(n)` is weight × probability of one set of n tokens."""
    total_L = np.zeros(4)
    for subset in subsets:
        for i in subset:
            total_L[i] += share(len(subset)) * cost_SL[subset][i]
    return total_L


@pytest.mark.parametrize("name", ["linear", "cosine", "polynomial:2"])
def test_integral_over_time_equals_fixed_counts_in_total_and_per_token(name):
    """For arbitrary conditionals p(x_i | the unmasked): any schedule's bound = fixed counts = the mean over orders."""
    schedule, length = schedules.from_name(name), 4
    subsets = [s for size in range(1, length + 1) for s in itertools.combinations(range(length), size)]
    cost_SL = {subset: np.random.default_rng(len(subset)).exponential(size=length) for subset in subsets}

    nodes, node_weights = np.polynomial.legendre.leggauss(40)
    t, dt = (nodes + 1) / 2, node_weights / 2
    with jax.enable_x64(True):
        weight = np.asarray(schedules.likelihood_weight(schedule, jnp.asarray(t))) * dt
        masked = np.asarray(schedule.one_minus_alpha(jnp.asarray(t)))
    over_time = _expected_costs(lambda n: (weight * masked**n * (1 - masked) ** (length - n)).sum(), subsets, cost_SL)
    over_counts = _expected_costs(lambda n: 1 / length * (length / n) / math.comb(length, n), subsets, cost_SL)
    over_orders = np.zeros(length)
    for order in itertools.permutations(range(length)):
        for place, i in enumerate(order):
            over_orders[i] += cost_SL[tuple(sorted(order[place:]))][i] / math.factorial(length)

    np.testing.assert_allclose(over_time, over_counts, rtol=1e-9)
    np.testing.assert_allclose(over_orders, over_counts, rtol=1e-9)
    assert over_time.sum() == pytest.approx(over_orders.sum(), rel=1e-9)
