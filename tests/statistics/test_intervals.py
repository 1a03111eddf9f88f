import numpy as np
import pytest
from scipy import stats

from hybridlm.statistics import intervals


def _groups(seed, groups=40, categories=3, effect=0.5):
    """Sums and counts of unequal clusters, whose tokens share an effect of their cluster; the true mean is 3."""
    random = np.random.default_rng(seed)
    count_NC = random.integers(1, 60, size=(groups, categories))
    mean_NC = 3 + effect * random.normal(size=(groups, categories))
    return count_NC * mean_NC + np.sqrt(count_NC) * random.normal(size=count_NC.shape), count_NC


def test_ends_are_percentiles_of_the_draws_of_a_loop():
    total_NC, count_NC = _groups(0)
    random, drawn = np.random.default_rng(7), []
    for _ in range(200):
        picked = random.integers(40, size=40)
        drawn.append(total_NC[picked].sum(0) / count_NC[picked].sum(0))
    tail = stats.norm.cdf(-np.sqrt(40 / 39) * stats.t.ppf(0.95, 39))
    low_C, high_C = np.quantile(drawn, (tail, 1 - tail), axis=0)
    actual = intervals.means(total_NC, count_NC, seed=7, draws=200, level=0.9)
    np.testing.assert_allclose(actual.estimate_C, total_NC.sum(0) / count_NC.sum(0))
    np.testing.assert_allclose(actual.low_C, low_C)
    np.testing.assert_allclose(actual.high_C, high_C)


def test_tails_shrink_with_the_clusters_and_are_the_usual_ones_of_many():
    tail_C = intervals.tails(np.array([1, 2, 10, 30, 10**6]), 0.95)
    np.testing.assert_allclose(tail_C, [np.nan, 0, 0.0086, 0.0188, 0.025], atol=1e-4)


@pytest.mark.parametrize("groups", [8, 60])
def test_intervals_hold_the_truth_as_often_as_they_say(groups):
    samples = [_groups(seed, groups=groups) for seed in range(150)]
    drawn = [intervals.means(*sums, seed=n, draws=300) for n, sums in enumerate(samples)]
    analytic = [intervals.linearised(*sums) for sums in samples]
    for found in (drawn, analytic):
        share = np.mean([(interval.low_C < 3) & (interval.high_C > 3) for interval in found])
        assert 0.91 < share < 0.975


def test_plain_percentiles_of_few_clusters_would_hold_it_less_often():
    """Why tails are widened: with eight clusters, the usual tails of 2.5 % miss the truth over twice as often."""
    held = []
    for seed in range(150):
        total_NC, count_NC = _groups(seed, groups=8)
        found = intervals.percentiles(np.full(3, 3.0), _drawn(total_NC, count_NC, seed), np.full(3, 10**6), level=0.95)
        held.append((found.low_C < 3) & (found.high_C > 3))
    assert np.mean(held) < 0.89


def _drawn(total_NC, count_NC, seed):
    total_RC, count_RC = intervals.resample((total_NC, count_NC), seed=seed, draws=300)
    return total_RC / count_RC


@pytest.mark.slow
@pytest.mark.parametrize("groups, least", [(10, 0.85), (30, 0.89), (100, 0.90)])
def test_very_unequal_and_skewed_clusters_are_held_less_often_and_so_they_are_flagged(groups, least):
    """Lognormal sizes, exponential means: no interval without a model of the tail does better; the figures are docs."""
    random, categories = np.random.default_rng(0), 1000
    count_NC = random.lognormal(3, 1, size=(groups, categories)).round() + 1
    found = intervals.means(count_NC * random.exponential(size=count_NC.shape), count_NC, seed=0, draws=1000)
    assert least < np.mean((found.low_C < 1) & (found.high_C > 1)) < 0.95


def test_tokens_taken_as_independent_would_hold_it_far_less_often():
    """Why clusters and not tokens are drawn: the naive interval of the same data is several times too narrow."""
    total_NC, count_NC = _groups(0)
    interval = intervals.means(total_NC, count_NC, seed=0)
    naive_C = 1.96 * np.sqrt(1 + 0.5**2) / np.sqrt(count_NC.sum(0))
    assert np.all((interval.high_C - interval.low_C) / 2 > 2 * naive_C)


def test_the_analytic_interval_of_equal_clusters_is_that_of_a_t_test():
    mean_N = np.random.default_rng(2).normal(size=12)
    found = intervals.linearised(5 * mean_N[:, None], np.full((12, 1), 5), level=0.9)
    expected = stats.ttest_1samp(mean_N, 0).confidence_interval(0.9)
    np.testing.assert_allclose([found.low_C[0], found.high_C[0]], [expected.low, expected.high])


def test_the_interval_of_a_share_stays_between_0_and_1():
    """One right answer in 5 groups of 20, all right, none right, and half of many, where log odds change nothing."""
    right_NC = np.array([[1, 20, 0], [0, 20, 0], [0, 20, 0], [0, 20, 0], [0, 20, 0]])
    plain, found = (one(right_NC, np.full_like(right_NC, 20)) for one in (intervals.linearised, intervals.of_shares))
    assert plain.low_C[0] < 0 < found.low_C[0] < found.estimate_C[0] < found.high_C[0] < 1
    np.testing.assert_array_equal([found.low_C[1:], found.high_C[1:]], [[1, 0], [1, 0]])
    halves_N1 = np.random.default_rng(0).binomial(20, 0.5, (2000, 1))
    plain, found = (one(halves_N1, np.full_like(halves_N1, 20)) for one in (intervals.linearised, intervals.of_shares))
    np.testing.assert_allclose([found.low_C, found.high_C], [plain.low_C, plain.high_C], atol=1e-6)


def test_a_paired_difference_cancels_what_clusters_share():
    total_NC, count_NC = _groups(3)
    better_NC = total_NC - 0.1 * count_NC
    difference = intervals.differences(total_NC, count_NC, better_NC, count_NC, seed=0)
    np.testing.assert_allclose(difference.estimate_C, 0.1)
    np.testing.assert_allclose(difference.high_C - difference.low_C, 0, atol=1e-9)
    alone = intervals.means(better_NC, count_NC, seed=0)
    assert np.all(alone.high_C - alone.low_C > 0.1)


def test_columns_may_count_different_tokens():
    total_NC, count_NC = _groups(4)
    difference = intervals.differences(
        total_NC[:, :1], count_NC[:, :1], total_NC[:, 1:2], count_NC[:, 1:2], seed=1, draws=300
    )
    mean_C = total_NC.sum(0) / count_NC.sum(0)
    np.testing.assert_allclose(difference.estimate_C, mean_C[:1] - mean_C[1:2])
    assert difference.low_C < difference.estimate_C < difference.high_C


def test_monte_carlo_error_widens_in_quadrature():
    exact = intervals.means(*_groups(5), seed=0)
    noisy = intervals.means(*_groups(5), seed=0, monte_carlo_error_C=np.array([0.0, 0.1, 10.0]))
    width = exact.estimate_C - exact.low_C
    expected = np.sqrt(width**2 + (1.959964 * np.array([0.0, 0.1, 10.0])) ** 2)
    np.testing.assert_allclose(noisy.estimate_C - noisy.low_C, expected, rtol=1e-6)


def test_few_clusters_are_flagged_and_what_is_missing_is_said():
    total_NC, count_NC = _groups(6, categories=4)
    count_NC[:, 1], count_NC[29:, 2], count_NC[1:, 3] = 0, 0, 0
    total_NC = np.where(count_NC > 0, total_NC, 0)
    found = intervals.means(total_NC, count_NC, seed=0, draws=100)
    assert found.clusters_C.tolist() == [40, 0, 29, 1]
    assert found.notes == (
        "",
        "no tokens",
        "29 clusters: interval may be too narrow",
        "one cluster: no interval",
    )
    assert np.isnan(found.estimate_C).tolist() == [False, True, False, False]
    for end_C in (found.low_C, found.high_C):
        assert np.isnan(end_C).tolist() == [False, True, False, True]


def test_draws_that_miss_a_rare_category_are_left_out():
    total_NC, count_NC = _groups(8)
    count_NC[2:, 0] = total_NC[2:, 0] = 0
    found = intervals.means(total_NC, count_NC, seed=0, draws=400)
    ratios = total_NC[:2, 0] / count_NC[:2, 0]
    np.testing.assert_allclose([found.low_C[0], found.high_C[0]], [ratios.min(), ratios.max()])
