import numpy as np
import pytest

from hybridlm.scoring.unigram import log_unigram, unigram_nll

COUNTS_V = np.array([7, 0, 90, 3])


def test_probabilities_sum_to_one_and_follow_the_counts():
    nll_V = unigram_nll(COUNTS_V)
    assert nll_V.dtype == np.float64
    assert np.exp(-nll_V).sum() == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(np.exp(-nll_V), np.array([8, 1, 91, 4]) / 104)


def test_ids_that_are_never_targets_take_no_probability():
    nll_V = unigram_nll(COUNTS_V, np.array([0, 1, 3]))
    assert nll_V[2] == np.inf
    np.testing.assert_allclose(np.exp(-nll_V), np.array([8, 1, 0, 4]) / 13)


def test_the_start_of_a_head_is_finite_everywhere():
    bias_V = log_unigram(COUNTS_V, np.array([0, 1, 3]))
    assert bias_V.dtype == np.float32
    np.testing.assert_allclose(bias_V, np.log(np.array([8, 1, 1, 4]) / 13), rtol=1e-6)
