import numpy as np
import pytest

from hybridlm.statistics.class_mass import class_mass


def test_brackets_expected_twice_as_often_as_they_came():
    tokens_N = np.array([100, 300])
    mass_NC, count_NC = np.array([[10.0, 90.0], [30.0, 270.0]]), np.array([[5, 95], [15, 285]])
    found = class_mass(mass_NC, count_NC, tokens_N, seed=0, draws=100)
    assert found.expected_C == pytest.approx([0.1, 0.9])
    assert found.observed_C == pytest.approx([0.05, 0.95])
    assert found.excess.estimate_C == pytest.approx([0.05, -0.05])
    assert found.fold.estimate_C == pytest.approx([2, 360 / 380])
    assert found.fold.low_C == pytest.approx(found.fold.high_C), "both clusters say the same"


def test_excesses_of_a_partition_sum_to_zero():
    random = np.random.default_rng(0)
    tokens_N = random.integers(20, 90, size=50)
    count_NC = np.array([random.multinomial(n, [0.2, 0.3, 0.5]) for n in tokens_N])
    mass_NC = tokens_N[:, None] * random.dirichlet([20, 30, 50], size=50)
    found = class_mass(mass_NC, count_NC, tokens_N, seed=0)
    assert found.excess.estimate_C.sum() == pytest.approx(0, abs=1e-12)
    assert np.all((found.excess.low_C < 0) & (found.excess.high_C > 0)), "calibrated on average"


def test_a_class_that_never_came_has_an_excess_and_no_ratio():
    found = class_mass(np.array([[1.0], [2.0]]), np.zeros((2, 1)), np.array([50, 50]), seed=0, draws=50)
    assert found.excess.estimate_C == pytest.approx(0.03)
    assert found.excess.notes == ("2 clusters: interval may be too narrow",)
    assert np.isnan(found.fold.estimate_C).all()
    assert found.fold.notes == ("no tokens",)
