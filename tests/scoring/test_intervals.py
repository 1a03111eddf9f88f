import numpy as np
import pytest

from hybridlm.scoring import intervals


def _groups(seed, groups=40, categories=3, effect=0.5):
    """Sums and counts of groups of unequal size, whose tokens share an effect of their group; the true mean is 3."""
    random = np.random.default_rng(seed)
    count_NC = random.integers(1, 60, size=(groups, categories))
    mean_NC = 3 + effect * random.normal(size=(groups, categories))
    return count_NC * mean_NC + np.sqrt(count_NC) * random.normal(size=count_NC.shape), count_NC


def test_draws_are_those_of_a_loop():
    total_NC, count_NC = _groups(0)
    random, drawn = np.random.default_rng(7), []
    for _ in range(200):
        picked = random.integers(40, size=40)
        drawn.append(total_NC[picked].sum(0) / count_NC[picked].sum(0))
    low_C, high_C = np.quantile(drawn, (0.05, 0.95), axis=0)
    actual = intervals.means(total_NC, count_NC, seed=7, draws=200, level=0.9)
    np.testing.assert_allclose(actual.mean_C, total_NC.sum(0) / count_NC.sum(0))
    np.testing.assert_allclose(actual.low_C, low_C)
    np.testing.assert_allclose(actual.high_C, high_C)


def test_many_groups_are_drawn_in_pieces_without_a_seam(monkeypatch):
    whole = intervals.means(*_groups(0), seed=7, draws=50)
    monkeypatch.setattr(intervals, "_CHUNK", 300)
    pieces = intervals.means(*_groups(0), seed=7, draws=50)
    np.testing.assert_allclose(pieces.low_C, whole.low_C)
    np.testing.assert_allclose(pieces.high_C, whole.high_C)


def test_intervals_hold_the_truth_as_often_as_they_say():
    held = [intervals.means(*_groups(seed, groups=60), seed=seed, draws=300) for seed in range(150)]
    share = np.mean([(interval.low_C < 3) & (interval.high_C > 3) for interval in held])
    assert 0.91 < share < 0.975


def test_tokens_taken_as_independent_would_hold_it_far_less_often():
    """Why groups and not tokens are drawn: the naive interval of the same data is several times too narrow."""
    total_NC, count_NC = _groups(0)
    interval = intervals.means(total_NC, count_NC, seed=0)
    naive_C = 1.96 * np.sqrt(1 + 0.5**2) / np.sqrt(count_NC.sum(0))
    assert np.all((interval.high_C - interval.low_C) / 2 > 2 * naive_C)


def test_a_paired_difference_cancels_what_groups_share():
    total_NC, count_NC = _groups(3)
    better_NC = total_NC - 0.1 * count_NC
    difference = intervals.differences(total_NC, count_NC, better_NC, count_NC, seed=0)
    np.testing.assert_allclose(difference.mean_C, 0.1)
    np.testing.assert_allclose(difference.high_C - difference.low_C, 0, atol=1e-9)
    alone = intervals.means(better_NC, count_NC, seed=0)
    assert np.all(alone.high_C - alone.low_C > 0.1)


def test_columns_may_count_different_tokens():
    total_NC, count_NC = _groups(4)
    difference = intervals.differences(
        total_NC[:, :1], count_NC[:, :1], total_NC[:, 1:2], count_NC[:, 1:2], seed=1, draws=300
    )
    mean_C = total_NC.sum(0) / count_NC.sum(0)
    np.testing.assert_allclose(difference.mean_C, mean_C[:1] - mean_C[1:2])
    assert difference.low_C < difference.mean_C < difference.high_C


def test_monte_carlo_error_widens_in_quadrature():
    exact = intervals.means(*_groups(5), seed=0)
    noisy = intervals.means(*_groups(5), seed=0, monte_carlo_error_C=np.array([0.0, 0.1, 10.0]))
    width = exact.mean_C - exact.low_C
    expected = np.sqrt(width**2 + (1.959964 * np.array([0.0, 0.1, 10.0])) ** 2)
    np.testing.assert_allclose(noisy.mean_C - noisy.low_C, expected, rtol=1e-6)


def test_few_clusters_are_flagged_and_absent_categories_are_nan():
    total_NC, count_NC = _groups(6)
    count_NC[:, 1], count_NC[29:, 2] = 0, 0
    total_NC = np.where(count_NC > 0, total_NC, 0)
    interval = intervals.means(total_NC, count_NC, seed=0, draws=100)
    assert interval.clusters_C.tolist() == [40, 0, 29]
    assert interval.has_few_clusters_C.tolist() == [False, True, True]
    assert np.isnan([interval.mean_C[1], interval.low_C[1], interval.high_C[1]]).all()
    assert np.isfinite([interval.low_C[2], interval.high_C[2]]).all()


@pytest.mark.parametrize("present", [1, 2])
def test_draws_that_miss_a_rare_category_are_left_out(present):
    total_NC, count_NC = _groups(8)
    count_NC[present:, 0] = total_NC[present:, 0] = 0
    interval = intervals.means(total_NC, count_NC, seed=0, draws=400)
    ratios = total_NC[:present, 0] / count_NC[:present, 0]
    np.testing.assert_allclose([interval.low_C[0], interval.high_C[0]], [ratios.min(), ratios.max()])
