import numpy as np
import pytest
from scipy import stats

from hybridlm.config.errors import ConfigError
from hybridlm.statistics.intervals import Intervals
from hybridlm.statistics.placebo import Place, envelope, place, profile
from hybridlm.statistics.sums import Sums


def _claim(*ends):
    low_C, high_C = np.array(ends, float).T
    return Intervals((low_C + high_C) / 2, low_C, high_C, np.full(len(ends), 50))


def test_seeds_lie_around_zero_whatever_their_order():
    gap_PC = np.array([[0.01, 0.02], [-0.02, 0.02], [0.02, -0.01]])
    around = envelope(gap_PC, is_directed=False)
    expected_C = stats.t.ppf(0.975, 3) * np.sqrt([0.0009 / 3, 0.0009 / 3])
    np.testing.assert_allclose(around.high_C, expected_C)
    np.testing.assert_allclose(around.low_C, -expected_C)
    np.testing.assert_allclose(envelope(-gap_PC[::-1], is_directed=False).high_C, expected_C)


def test_directed_pairs_have_the_textbook_s_prediction_interval():
    around = envelope(np.array([[1.0], [2.0], [3.0]]), is_directed=True)
    reach = 4.302653 * 1.0 * np.sqrt(4 / 3)
    assert (around.low_C[0], around.high_C[0]) == pytest.approx((2 - reach, 2 + reach), rel=1e-6)


@pytest.mark.parametrize("is_directed", [False, True])
@pytest.mark.parametrize("pairs", [2, 4, 20])
def test_one_more_placebo_lies_inside_as_often_as_stated(pairs, is_directed):
    gap_PC = np.random.default_rng(0).normal(1.5 * is_directed, 1, size=(pairs + 1, 4000))
    around = envelope(gap_PC[:-1], is_directed=is_directed, level=0.9)
    assert np.mean((gap_PC[-1] > around.low_C) & (gap_PC[-1] < around.high_C)) == pytest.approx(0.9, abs=0.015)


def test_a_claim_is_outside_only_with_its_whole_interval():
    around = envelope(np.full((40, 5), [1.0]) * np.resize([1, -1], 40)[:, None], is_directed=False)
    assert around.high_C[0] == pytest.approx(2.02, abs=0.01)
    found = place(_claim((2.1, 3), (1.9, 2.6), (-1, 3), (-9, -3), (np.nan, np.nan)), around)
    assert found.places == (Place.OUTSIDE, Place.UNDECIDED, Place.INSIDE, Place.OUTSIDE, Place.UNDECIDED)
    assert np.isnan(found.p_C).tolist() == [False] * 4 + [True]
    assert found.by_chance == pytest.approx(0.05 * 4)


def test_ranks_count_the_claim_among_its_placebos():
    around = envelope(np.array([[0.1, 0.1], [-0.3, 0.3], [0.2, 0.2]]), is_directed=False)
    found = place(_claim((0.9, 1.1), (-0.3, -0.2)), around)
    assert found.p_C.tolist() == [1 / 4, 2 / 4]
    assert found.lowest_p == 1 / 4


def test_directed_ranks_measure_from_the_middle_of_all():
    found = place(
        _claim((1.9, 2.1), (8.9, 9.1)), envelope(np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]), is_directed=True)
    )
    assert found.p_C.tolist() == [1.0, 1 / 4]


def test_few_pairs_say_so_and_one_directed_pair_excludes_nothing():
    one = envelope(np.array([[0.02, 0.3]]), is_directed=True)
    assert one.note == "only 1 placebo pair: the envelope assumes normal gaps"
    assert np.isinf([one.low_C, one.high_C]).all()
    assert place(_claim((50, 60), (-9, -8)), one).places == (Place.INSIDE, Place.INSIDE)
    assert envelope(np.zeros((3, 1)), is_directed=False).note.startswith("only 3 placebo pairs")
    assert envelope(np.zeros((20, 1)), is_directed=False).note == ""
    with pytest.raises(ConfigError, match="at least one placebo pair; score a second seed, or two steps of one run"):
        envelope(np.zeros((0, 1)), is_directed=False)


def _gap(scale, seed=0):
    """A gap twice as large on new tokens as on seen ones, of two directed pairs that differ in its size alone."""
    random = np.random.default_rng(seed)
    count_NC = random.integers(5, 40, size=(60, 2))
    total_NC = scale * count_NC * (np.array([0.2, 0.1]) + 0.02 * random.normal(size=(60, 2)))
    gap = Sums(total_NC=total_NC, count_NC=count_NC, categories=(("copy", "new"), ("copy", "seen")), data="x")
    whole = Sums(
        total_NC=total_NC.sum(1, keepdims=True),
        count_NC=count_NC.sum(1, keepdims=True),
        categories=(("all", "all"),),
        data="x",
    )
    return gap, whole


def test_profiles_of_gaps_of_one_shape_are_equal_whatever_their_size():
    small, large = (profile(*_gap(scale), seed=0, draws=200) for scale in (0.01, 1))
    np.testing.assert_allclose(small.estimate_C, large.estimate_C)
    np.testing.assert_allclose(small.high_C, large.high_C)
    assert small.estimate_C[0] / small.estimate_C[1] == pytest.approx(2, abs=0.1)


def test_nothing_is_divided_by_a_gap_that_may_be_zero():
    gap, whole = _gap(1)
    still = Sums(
        total_NC=whole.total_NC - whole.total_NC.mean(0),
        count_NC=whole.count_NC,
        categories=(("all", "all"),),
        data="x",
    )
    with pytest.raises(ConfigError, match="and may be zero; compare the gaps themselves, as between seeds"):
        profile(gap, still, seed=0)
