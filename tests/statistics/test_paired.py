import numpy as np
import pytest

from hybridlm.statistics import intervals
from hybridlm.statistics.paired import compare
from hybridlm.statistics.sums import Sums

FAMILIES = (("all", "all"), ("copy", "new"), ("copy", "seen"), ("bracket", "none"), ("bracket", "open"))


def _gap(seed=0, clusters=40, effect=(0.3, 0.1)):
    """New tokens gain three times what seen ones do; brackets gain nothing of their own."""
    random = np.random.default_rng(seed)
    count_NC = random.integers(1, 30, size=(clusters, 2, 2)).astype(float)
    gain_NC = np.array(effect)[None, :, None] + 0.1 * random.normal(size=(clusters, 1, 1))
    total_NC = count_NC * gain_NC + 0.1 * random.normal(size=count_NC.shape)
    both = [np.hstack([x.sum((1, 2))[:, None], x.sum(2), x.sum(1)]) for x in (total_NC, count_NC)]
    return Sums(total_NC=both[0], count_NC=both[1], categories=FAMILIES, data="4f1c")


def test_every_column_is_what_its_own_file_computes():
    gap = _gap()
    found = compare(gap, seed=3, draws=200, permutations=99)
    alone = intervals.means(gap.total_NC, gap.count_NC, seed=3, draws=200)
    np.testing.assert_allclose(found.gap.low_C, alone.low_C)
    np.testing.assert_allclose(found.gap.estimate_C, gap.total_NC.sum(0) / gap.count_NC.sum(0))
    np.testing.assert_allclose(found.p_C, 1 / 100)  # (0 + 1) / (99 + 1): no sign assignment comes close
    np.testing.assert_allclose(found.holm_C, 5 / 100)
    np.testing.assert_allclose(found.fdr_C, 1 / 100)


def test_shares_of_a_family_sum_to_the_whole_gap():
    found = compare(_gap(), seed=0, draws=100, permutations=99)
    all_, new, seen, none, open_ = found.share.estimate_C
    assert (all_, new + seen, none + open_) == pytest.approx((1, 1, 1))
    assert new == pytest.approx(0.75, abs=0.05), "three times the gap on as many tokens"
    assert found.share.low_C[1] < new < found.share.high_C[1]
    assert found.is_share_settled_C.all()


def test_shares_of_a_gap_that_may_be_zero_are_called_unsettled():
    found = compare(_gap(effect=(0.02, -0.02)), seed=0, draws=100, permutations=99)
    assert not found.is_share_settled_C.any()
    assert found.share.estimate_C[1:3].sum() == pytest.approx(1)


def test_identical_models_differ_in_nothing():
    gap = _gap()
    found = compare(
        Sums(total_NC=0 * gap.total_NC, count_NC=gap.count_NC, categories=FAMILIES, data="4f1c"), seed=0, draws=50
    )
    for nothing in (found.gap.estimate_C, found.gap.low_C, found.gap.high_C, found.error_C, found.detectable_C):
        assert not nothing.any()
    assert found.p_C.tolist() == found.holm_C.tolist() == [1.0] * 5
    assert np.isnan(found.share.estimate_C).all()
    assert not found.is_share_settled_C.any()


def test_untested_categories_say_so_and_correct_nothing():
    gap = _gap()
    total_NC, count_NC = gap.total_NC.copy(), gap.count_NC.copy()
    total_NC[:, 3], count_NC[:, 3] = 0, 0
    total_NC[1:, 4], count_NC[1:, 4] = 0, 0
    found = compare(
        Sums(total_NC=total_NC, count_NC=count_NC, categories=FAMILIES, data="4f1c"), seed=0, draws=50, permutations=99
    )
    assert found.gap.notes == ("", "", "", "no tokens", "one cluster: no interval")
    for column_C in (found.p_C, found.holm_C, found.fdr_C, found.error_C, found.detectable_C):
        assert np.isnan(column_C).tolist() == [False, False, False, True, True]
    assert found.holm_C[0] == pytest.approx(3 / 100), "three categories were tested, not five"


def test_the_same_seed_gives_the_same_bytes():
    once, again = (compare(_gap(), seed=5, draws=50, permutations=99) for _ in range(2))
    assert once.gap.low_C.tobytes() == again.gap.low_C.tobytes()
    assert once.p_C.tobytes() == again.p_C.tobytes()


def test_the_paired_interval_is_far_narrower_than_its_two_models_are_unsure():
    """What an unpaired test throws away: documents vary by a nat, gaps by a tenth of that."""
    random = np.random.default_rng(0)
    count_NC = np.full((50, 1), 20.0)
    baseline_NC = count_NC * (3 + random.normal(size=(50, 1)))
    gap_NC = count_NC * (0.05 + 0.1 * random.normal(size=(50, 1)))
    found = compare(Sums(total_NC=gap_NC, count_NC=count_NC, categories=(("all", "all"),), data="x"), seed=0)
    alone = intervals.means(baseline_NC, count_NC, seed=0)
    assert 5 * (found.gap.high_C - found.gap.low_C) < alone.high_C - alone.low_C
    assert found.gap.low_C > 0 and found.p_C < 0.01
