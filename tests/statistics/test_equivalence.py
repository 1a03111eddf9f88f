import numpy as np
import pytest
from scipy import stats

from hybridlm.config.errors import ConfigError
from hybridlm.statistics.equivalence import Verdict, as_t, critical, equivalence, tost, verdicts
from hybridlm.statistics.intervals import Intervals
from hybridlm.statistics.linearised import influence
from hybridlm.statistics.sums import Sums


def _gap(gap_NC, data="4f1c"):
    """Sums of clusters of ten tokens whose mean gaps are given."""
    names = tuple(("label", str(c)) for c in range(gap_NC.shape[1]))
    return Sums(total_NC=10 * gap_NC, count_NC=np.full(gap_NC.shape, 10), categories=names, data=data)


def test_verdicts_read_where_the_band_lies():
    """The margin is 0.01, drawn as bars:

    |   .----.  |      inside, though apart from zero: too small to matter
    |  --0--    |      inside
    |   0   .---+--.   apart from zero, and perhaps beyond the margin
    | .-0-------+--.   anything
    """
    low_C, high_C = np.array([0.002, -0.003, 0.004, -0.002, np.nan]), np.array([0.008, 0.003, 0.02, 0.02, np.nan])
    band = Intervals((low_C + high_C) / 2, low_C, high_C, np.array([50, 50, 50, 50, 1]))
    E, D, U = Verdict.EQUIVALENT, Verdict.DIFFERS, Verdict.UNDECIDED
    assert verdicts(band, 0.01) == (E, E, D, U, U)
    mirrored = Intervals(-band.estimate_C, -high_C, -low_C, band.clusters_C)
    assert verdicts(mirrored, 0.01) == (E, E, D, U, U)


def test_p_is_the_larger_of_two_one_sided_t_tests():
    gap_N = np.random.default_rng(0).normal(0.002, 0.02, size=30)
    found = equivalence({"step 100": _gap(gap_N[:, None])}, 0.01, seed=0)["step 100"]
    sides = stats.ttest_1samp(gap_N, -0.01, alternative="greater"), stats.ttest_1samp(gap_N, 0.01, alternative="less")
    assert found.p_C == pytest.approx(max(side.pvalue for side in sides))


def test_identical_models_are_equivalent_and_a_gap_of_the_margin_is_not():
    same, apart = np.zeros((20, 1)), np.full((20, 1), 0.02)
    found = equivalence({"same": _gap(same), "apart": _gap(apart)}, 0.01, seed=0)
    assert found["same"].verdicts == (Verdict.EQUIVALENT,)
    assert found["apart"].verdicts == (Verdict.DIFFERS,)
    assert (found["same"].p_C, found["apart"].p_C) == (0, 1)


def test_one_comparison_needs_no_correction():
    pulls_NC = np.random.default_rng(0).normal(size=(400, 1))
    assert critical(pulls_NC - pulls_NC.mean(), seed=0, draws=20_000, level=0.95) == pytest.approx(1.96, abs=0.04)


def test_independent_gaps_take_as_much_as_bonferroni_and_copies_take_nothing_more():
    pulls_NC = np.random.default_rng(0).normal(size=(400, 20))
    pulls_NC -= pulls_NC.mean(0)
    options = {"seed": 0, "draws": 20_000, "level": 0.95}
    one, twenty = critical(pulls_NC[:, :1], **options), critical(pulls_NC, **options)
    assert twenty == pytest.approx(stats.norm.isf(0.025 / 20), abs=0.08)
    assert critical(np.repeat(pulls_NC[:, :1], 20, axis=1), **options) == pytest.approx(one)


def test_few_clusters_reach_as_far_as_student_says():
    found = as_t(1.959964, np.array([1, 2, 10, 10**6]))
    np.testing.assert_allclose(found, [np.nan, 12.706, 2.262, 1.960], atol=1e-3)


def test_all_checkpoints_share_one_correction():
    random = np.random.default_rng(1)
    first, second = random.normal(size=(60, 5)), random.normal(size=(60, 5))
    alone = equivalence({"a": _gap(first)}, 1.0, seed=0)["a"].band
    among = equivalence({"a": _gap(first), "b": _gap(second)}, 1.0, seed=0)["a"].band
    assert np.all(among.high_C > alone.high_C)
    np.testing.assert_array_equal(among.estimate_C, alone.estimate_C)


def test_bands_hold_all_truths_at_once():
    """Twenty categories of correlated gaps, 40 clusters, some categories in a third of them."""
    held, alone = [], []
    for seed in range(120):
        random = np.random.default_rng(seed)
        gap_NC = 0.7 * random.normal(size=(40, 1)) + 0.7 * random.normal(size=(40, 20))
        count_NC = random.integers(1, 20, size=(40, 20)) * (random.random((40, 20)) < np.linspace(0.3, 1, 20))
        names = tuple(("label", str(c)) for c in range(20))
        gap = Sums(total_NC=gap_NC * count_NC, count_NC=count_NC, categories=names, data="x")
        band = equivalence({"a": gap}, 1.0, seed=seed, draws=300)["a"].band
        held.append(np.all((band.low_C < 0) & (band.high_C > 0)))
        error_C = np.sqrt((influence(gap.total_NC, gap.count_NC) ** 2).sum(0))
        alone.append(np.all(np.abs(band.estimate_C) < 1.96 * error_C))
    assert 0.9 <= np.mean(held) <= 0.99
    assert np.mean(alone) < 0.7, "read one by one, some category of an equal pair seems to differ"


def test_categories_without_an_interval_are_undecided_and_correct_nothing():
    gap = _gap(np.random.default_rng(0).normal(size=(30, 2)))
    lone = Sums(
        total_NC=np.hstack([gap.total_NC, np.eye(30)[:, :1], np.zeros((30, 1))]),
        count_NC=np.hstack([gap.count_NC, np.eye(30)[:, :1], np.zeros((30, 1))]),
        categories=(*gap.categories, ("label", "one"), ("label", "none")),
        data=gap.data,
    )
    found, without = (equivalence({"a": g}, 1.0, seed=0)["a"] for g in (lone, gap))
    assert found.verdicts[2:] == (Verdict.UNDECIDED,) * 2
    assert found.band.notes[2:] == ("one cluster: no interval", "no tokens")
    np.testing.assert_allclose(found.band.high_C[:2], without.band.high_C)


def test_tost_of_a_gap_without_any_spread():
    found = tost(np.array([0.0, 0.02]), np.zeros(2), np.array([9, 9]), 0.01)
    assert found.tolist() == [0, 1]


def test_a_margin_and_one_text_are_asked_for():
    gap = _gap(np.ones((3, 1)))
    with pytest.raises(ConfigError, match="positive number of nats declared beforehand, but it is 0"):
        equivalence({"a": gap}, 0.0, seed=0)
    with pytest.raises(ConfigError, match="data are {'a': '4f1c', 'b': '9e07'}"):
        equivalence({"a": gap, "b": _gap(np.ones((3, 1)), data="9e07")}, 0.01, seed=0)
