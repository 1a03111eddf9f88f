import numpy as np
import pytest

from hybridlm.statistics.recall import distance_cliff, recall_efficiency
from hybridlm.statistics.sums import Sums


def test_efficiency_is_what_repetition_saves():
    """Perfect recall, a tenth of the surprise left, none saved."""
    first_NC = np.tile([[30.0, 30.0, 30.0], [60.0, 60.0, 60.0]], (20, 1))
    found = recall_efficiency(first_NC * [0, 0.1, 1], first_NC, seed=0, draws=100)
    assert found.estimate_C == pytest.approx([1, 0.9, 0])
    assert found.low_C == pytest.approx(found.estimate_C)


def test_efficiency_does_not_depend_on_how_hard_the_text_is():
    random = np.random.default_rng(0)
    first_NC = random.exponential(30, size=(40, 1))
    repeat_NC = first_NC * random.uniform(0.05, 0.15, size=(40, 1))
    easy, hard = (recall_efficiency(x * repeat_NC, x * first_NC, seed=0, draws=100) for x in (1, 7))
    np.testing.assert_allclose([hard.estimate_C, hard.low_C, hard.high_C], [easy.estimate_C, easy.low_C, easy.high_C])


def test_no_copies_no_efficiency():
    found = recall_efficiency(np.zeros((3, 1)), np.zeros((3, 1)), seed=0, draws=20)
    assert np.isnan(found.estimate_C).all() and found.notes == ("no tokens",)


def test_a_cliff_is_measured_from_the_nearest_bin():
    """Losses of 1 nat nearby and of 1.2 far away, in clusters that are easy and hard throughout."""
    random = np.random.default_rng(0)
    count_NC = random.integers(5, 20, size=(50, 3))
    level_N1 = random.normal(size=(50, 1))
    sums = Sums(
        total_NC=count_NC * (np.array([1.0, 1.0, 1.2]) + level_N1),
        count_NC=count_NC,
        categories=tuple(("distance", name) for name in ("1-32", "33-128", "129-")),
        data="x",
    )
    found = distance_cliff(sums, seed=0)
    assert (found.estimate_C[0], found.low_C[0], found.high_C[0]) == (0, 0, 0)
    mean_C = sums.total_NC.sum(0) / count_NC.sum(0)
    np.testing.assert_allclose(found.estimate_C, mean_C - mean_C[0])
    assert found.low_C[2] > 0, "what clusters share cancels"
    assert found.low_C[1] < 0 < found.high_C[1]
    assert found.estimate_C[2] == pytest.approx(0.2, abs=0.1)
