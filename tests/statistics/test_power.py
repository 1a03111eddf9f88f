import numpy as np
import pytest
from scipy import stats

from hybridlm.statistics.power import detectable, needed


def test_of_many_clusters_it_is_the_well_known_multiple_of_the_error():
    found = detectable(np.array([0.01]), np.array([10**6]))
    assert found == pytest.approx(0.01 * 2.8016, rel=1e-4)  # 1.96 + 0.8416


def test_a_gap_of_that_size_is_found_with_the_stated_power():
    random, clusters = np.random.default_rng(0), 25
    effect = detectable(np.array([1 / np.sqrt(clusters)]), np.array([clusters]))
    found = stats.ttest_1samp(random.normal(effect, size=(clusters, 4000)), 0).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.02)


def test_half_the_gap_takes_four_times_the_text():
    assert needed(np.array([150_000]), np.array([0.04]), 0.02) == pytest.approx(600_000)


def test_one_cluster_detects_nothing():
    assert np.isnan(detectable(np.array([np.nan]), np.array([1]))).all()
