import numpy as np
import pytest

from hybridlm.statistics.shares import shares
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


def test_shares_of_a_family_sum_to_the_whole_gap():
    found = shares(_gap(), seed=0, draws=100)
    all_, new, seen, none, open_ = found.part.estimate_C
    assert (all_, new + seen, none + open_) == pytest.approx((1, 1, 1))
    assert new == pytest.approx(0.75, abs=0.05), "three times the gap on as many tokens"
    assert found.part.low_C[1] < new < found.part.high_C[1]
    assert found.is_settled_C.all()


def test_shares_of_a_gap_that_may_be_zero_are_called_unsettled():
    found = shares(_gap(effect=(0.02, -0.02)), seed=0, draws=100)
    assert not found.is_settled_C.any()
    assert found.part.estimate_C[1:3].sum() == pytest.approx(1)


def test_identical_models_have_no_gap_to_share():
    gap = _gap()
    none = Sums(total_NC=0 * gap.total_NC, count_NC=gap.count_NC, categories=FAMILIES, data="4f1c")
    found = shares(none, seed=0, draws=50)
    assert np.isnan(found.part.estimate_C).all() and not found.is_settled_C.any()


def test_the_same_seed_gives_the_same_bytes():
    once, again = (shares(_gap(), seed=5, draws=50) for _ in range(2))
    assert once.part.low_C.tobytes() == again.part.low_C.tobytes()
