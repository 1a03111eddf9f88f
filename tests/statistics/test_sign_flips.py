import itertools

import numpy as np
import pytest
from scipy import stats

from hybridlm.statistics import sign_flips


def test_five_clusters_that_agree_by_hand():
    """Of 32 sign assignments only two, all plus and all minus, reach as far."""
    assert sign_flips.exact(np.array([1.0, 2.0, 0.5, 3.0, 1.0])) == 2 / 32


@pytest.mark.parametrize("clusters", [2, 3, 7, 12])
def test_exact_p_is_that_of_every_assignment(clusters):
    difference_N = np.random.default_rng(clusters).normal(0.4, size=clusters)
    reached = [
        abs(sum(s * d for s, d in zip(signs, difference_N))) >= abs(difference_N.sum()) - 1e-12
        for signs in itertools.product((1, -1), repeat=clusters)
    ]
    assert sign_flips.exact(difference_N) == np.mean(reached)


def test_exact_p_is_that_of_scipy():
    random = np.random.default_rng(3)
    a_N, b_N = random.normal(size=9), random.normal(0.5, size=9)
    expected = stats.permutation_test((a_N, b_N), lambda a, b, axis: (a - b).sum(axis), permutation_type="samples")
    assert sign_flips.exact(a_N - b_N) == pytest.approx(expected.pvalue)


def test_drawn_signs_agree_with_all_of_them(monkeypatch):
    difference_NC = np.random.default_rng(0).normal(0.3, size=(14, 4))
    exact_C = sign_flips.p_values(difference_NC, seed=0)
    monkeypatch.setattr(sign_flips, "EXACT", 1)
    drawn_C = sign_flips.p_values(difference_NC, seed=0, permutations=20_000)
    np.testing.assert_allclose(drawn_C, exact_C, atol=0.012)


def test_drawn_p_is_never_zero_and_counts_in_pieces(monkeypatch):
    difference_NC = np.ones((40, 1))
    assert sign_flips.p_values(difference_NC, seed=0, permutations=99) == pytest.approx(1 / 100)
    noise_NC = np.random.default_rng(1).normal(size=(40, 1))
    whole = sign_flips.p_values(noise_NC, seed=0, permutations=5000)
    monkeypatch.setattr(sign_flips, "_CHUNK", 4000)
    assert sign_flips.p_values(noise_NC, seed=0, permutations=5000) == pytest.approx(whole, abs=0.02)


def test_identical_models_and_single_clusters_prove_nothing():
    difference_NC = np.zeros((20, 2))
    difference_NC[3, 1] = 5.0
    assert sign_flips.p_values(difference_NC, seed=0).tolist() == [1.0, 1.0]


def test_clusters_without_the_category_change_nothing():
    difference_NC = np.zeros((500, 1))
    difference_NC[::100, 0] = [1, 2, 0.5, 3, 1]
    assert sign_flips.p_values(difference_NC, seed=0).tolist() == [2 / 32]


def test_chance_is_called_a_finding_as_often_as_stated():
    difference_NC = np.random.default_rng(0).standard_t(4, size=(25, 2000))
    p_C = sign_flips.p_values(difference_NC, seed=1, permutations=999)
    assert np.mean(p_C <= 0.05) == pytest.approx(0.05, abs=0.015)
