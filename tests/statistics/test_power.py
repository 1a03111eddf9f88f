import numpy as np
import pytest
from scipy import stats

from hybridlm.statistics.intervals import Intervals
from hybridlm.statistics.power import detectable


def _interval(reach, clusters):
    """Of a gap of zero."""
    return Intervals(np.zeros(1), np.array([-reach]), np.array([reach]), np.array([clusters]))


def test_of_many_clusters_it_is_the_well_known_multiple_of_the_error():
    found = detectable(_interval(1.95996 * 0.01, 10**6), np.array([0.01]))
    assert found == pytest.approx(0.01 * 2.8016, rel=1e-4)  # 1.96 + 0.8416


def test_a_gap_of_that_size_is_found_with_the_stated_power():
    random, clusters = np.random.default_rng(0), 25
    error = 1 / np.sqrt(clusters)
    effect = detectable(_interval(stats.t.ppf(0.975, clusters - 1) * error, clusters), np.array([error]))
    found = stats.ttest_1samp(random.normal(effect, size=(clusters, 4000)), 0).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.02)


def test_without_an_interval_nothing_is_detected():
    assert np.isnan(detectable(_interval(np.nan, 4), np.array([0.1]))).all()
