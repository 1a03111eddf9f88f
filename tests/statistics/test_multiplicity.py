import numpy as np

from hybridlm.statistics.multiplicity import benjamini_hochberg


def test_three_categories_by_hand():
    np.testing.assert_allclose(benjamini_hochberg(np.array([0.03, 0.01, 0.04])), [0.04, 0.03, 0.04])


def test_what_was_never_tested_makes_nothing_harder():
    p_C = np.array([0.03, np.nan, 0.01, 0.04, np.nan])
    np.testing.assert_allclose(benjamini_hochberg(p_C), [0.04, np.nan, 0.03, 0.04, np.nan])
    assert np.isnan(benjamini_hochberg(np.array([np.nan]))).all()


def test_the_correction_keeps_the_order_and_never_helps():
    p_C = np.sort(np.random.default_rng(1).random(30))
    corrected_C = benjamini_hochberg(p_C)
    assert np.all(np.diff(corrected_C) >= 0)
    assert np.all((corrected_C >= p_C) & (corrected_C <= 1))
