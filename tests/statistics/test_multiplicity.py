import numpy as np
import pytest

from hybridlm.statistics.multiplicity import benjamini_hochberg, holm


def test_three_categories_by_hand():
    p_C = np.array([0.03, 0.01, 0.04])
    np.testing.assert_allclose(holm(p_C), [0.06, 0.03, 0.06])
    np.testing.assert_allclose(benjamini_hochberg(p_C), [0.04, 0.03, 0.04])


def test_what_was_never_tested_makes_nothing_harder():
    p_C = np.array([0.03, np.nan, 0.01, 0.04, np.nan])
    np.testing.assert_allclose(holm(p_C), [0.06, np.nan, 0.03, 0.06, np.nan])
    np.testing.assert_allclose(benjamini_hochberg(p_C), [0.04, np.nan, 0.03, 0.04, np.nan])
    assert np.isnan(holm(np.array([np.nan]))).all()


def test_holm_rejects_as_the_step_down_procedure_does():
    random = np.random.default_rng(0)
    for _ in range(50):
        p_C = random.random(8) ** 3
        rejected, order_C = set(), np.argsort(p_C)
        for done, c in enumerate(order_C):
            if p_C[c] > 0.05 / (8 - done):
                break
            rejected.add(int(c))
        assert rejected == set(np.flatnonzero(holm(p_C) <= 0.05).tolist())


@pytest.mark.parametrize("correct", [holm, benjamini_hochberg])
def test_corrections_keep_the_order_and_never_help(correct):
    p_C = np.sort(np.random.default_rng(1).random(30))
    assert np.all(np.diff(correct(p_C)) >= 0)
    assert np.all((correct(p_C) >= p_C) & (correct(p_C) <= 1))
