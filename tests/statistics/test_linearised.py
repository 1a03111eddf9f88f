import numpy as np
import pytest
from scipy import stats

from hybridlm.statistics import linearised
from hybridlm.statistics.linearised import influence, ratio, standard_error
from hybridlm.statistics.resampling import resample


def _sums(seed=0, clusters=200):
    random = np.random.default_rng(seed)
    count_NC = random.integers(1, 60, size=(clusters, 3))
    return count_NC * (3 + random.normal(size=(clusters, 1)) + random.normal(size=(clusters, 3))), count_NC


def test_two_clusters_by_hand():
    """Means 1 and 3 over 2 and 2 tokens: mean 2, influences ∓2/4 · √2, standard error 1."""
    total_NC, count_NC = np.array([[2.0], [6.0]]), np.array([[2], [2]])
    np.testing.assert_allclose(influence(total_NC, count_NC)[:, 0], [-np.sqrt(2) / 2, np.sqrt(2) / 2])
    np.testing.assert_allclose(standard_error(total_NC, count_NC), [1.0])


def test_clusters_of_equal_size_have_the_textbook_error_of_their_means():
    mean_N = np.random.default_rng(0).normal(size=20)
    found = standard_error(7 * mean_N[:, None], np.full((20, 1), 7))
    assert found == pytest.approx(stats.sem(mean_N))


def test_influence_is_what_leaving_a_cluster_out_changes():
    total_NC, count_NC = _sums()
    whole, left_out = (
        ratio(total_NC.sum(0), count_NC.sum(0)),
        ratio(total_NC.sum(0) - total_NC, count_NC.sum(0) - count_NC),
    )
    np.testing.assert_allclose(whole - left_out, influence(total_NC, count_NC), rtol=0.02, atol=5e-5)


def test_products_of_influences_are_the_covariance_of_draws():
    total_NC, count_NC = _sums()
    total_RC, count_RC = resample((total_NC, count_NC), seed=0, draws=20_000)
    pulls_NC = influence(total_NC, count_NC)
    np.testing.assert_allclose(pulls_NC.T @ pulls_NC, np.cov((total_RC / count_RC).T), rtol=0.06)


def test_categories_without_tokens_or_with_one_cluster_have_no_error():
    total_NC, count_NC = _sums(clusters=4)
    count_NC[:, 0], count_NC[1:, 1] = 0, 0
    total_NC = np.where(count_NC > 0, total_NC, 0)
    assert linearised.clusters_with(count_NC).tolist() == [0, 1, 4]
    assert np.isnan(standard_error(total_NC, count_NC)).tolist() == [True, True, False]
