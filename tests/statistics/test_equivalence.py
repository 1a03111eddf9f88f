import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridlm.config.errors import ConfigError
from hybridlm.statistics.equivalence import Verdict, Why, equivalence, least_flips, verdicts
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


def _small(seed, clusters, categories, freedom, shift, digits):
    """Few groups of any size, few categories in some of them, gaps with any tails, and ties where they are rounded."""
    random = np.random.default_rng(seed)
    count_NC = random.integers(1, 40, size=(clusters, categories))
    count_NC[:, 1:] *= random.random((clusters, categories - 1)) < 0.7
    gap_NC = (shift + random.standard_t(freedom, size=count_NC.shape)).round(digits)
    names = tuple(("label", str(c)) for c in range(categories))
    return Sums(total_NC=gap_NC * count_NC, count_NC=count_NC, categories=names, data="x")


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 2**32 - 1),
    clusters=st.integers(2, 24),
    categories=st.integers(1, 6),
    freedom=st.sampled_from([1, 3, 50]),
    shift=st.sampled_from([0, 0.5, 2]),
    digits=st.sampled_from([0, 9]),
    margin=st.sampled_from([0.01, 0.5, 3.0]),
    level=st.sampled_from([0.5, 0.7, 0.8, 0.9, 0.95, 0.99]) | st.floats(0.3, 0.995),
)
def test_p_interval_and_verdict_never_contradict_each_other(margin, level, **made):
    """A reader sees the band, p_all and the verdict; the interval and p of a category alone stand in the files."""
    found = equivalence({"a": _small(**made)}, margin, seed=0, permutations=199, level=level)["a"]
    most = 1 - level + 1e-12
    for c, verdict in enumerate(found.verdicts):
        for ends, p in ((found.band, found.p_all_C[c]), (found.gap, found.p_C[c])):
            low, high = ends.low_C[c], ends.high_C[c]
            assert np.isnan(low) or (low > 0 or high < 0) == (p <= most)
            assert not np.isnan(low) or not p <= most
            if verdict == Verdict.DIFFERS:
                assert p <= most and (low > 0 or high < 0)
            if verdict == Verdict.EQUIVALENT:
                assert -margin < low <= high < margin
        assert (verdict == Verdict.UNDECIDED) == (found.whys[c] != "")


def test_a_tie_with_the_level_is_counted_in_flips():
    """20 of 200 flips get as far: p is 0.1, and 1 − 0.9 a little less in floating point."""
    drawn = (_gap(np.random.default_rng(seed).normal(0.4, size=(16, 1))) for seed in range(1000))
    judged = (equivalence({"a": gap}, 0.01, seed=0, permutations=199, level=0.9)["a"] for gap in drawn)
    tied = next(found for found in judged if found.p_C == 20 / 200)
    assert tied.p_C > 1 - 0.9 and tied.gap.low_C > 0 and tied.verdicts == (Verdict.DIFFERS,)


@pytest.mark.parametrize("size", [1_000, 30_000, 80_000, 10_000_000])
def test_where_a_flip_hardly_moves_a_gap_p_and_interval_agree(size):
    """Six groups agree to the digit, one of them a single token: the larger the others, the less its flip can tell."""
    count_NC = np.array([[1], *[[size]] * 5])
    gap = Sums(total_NC=count_NC * 1.0, count_NC=count_NC, categories=(("label", "0"),), data="x")
    found = equivalence({"a": gap}, 0.01, seed=0)["a"]
    assert (found.p_C[0], found.verdicts[0]) in ((2 / 64, "differs"), (4 / 64, "undecided"))
    assert (found.gap.low_C[0] > 0) == (found.p_C[0] == 2 / 64)


def test_every_level_has_flips_enough_to_be_reached():
    """Sixty categories, in each of which some flip gets furthest; in one of them all groups agree."""
    assert [least_flips(60, level) for level in (0.9, 0.95, 0.99)] == [1_200, 2_400, 12_000]
    noise_NC = np.random.default_rng(0).normal(size=(40, 59))
    agreed = _gap(np.hstack([np.linspace(1, 2, 40)[:, None], noise_NC]))
    for level in (0.9, 0.95, 0.99):
        found = equivalence({"a": agreed}, 0.01, seed=0, permutations=99, level=level)["a"]
        assert found.is_least_C[0] and found.verdicts[0] == Verdict.DIFFERS
        assert found.p_all_C[0] == pytest.approx((1 - level) / 2, rel=0.1)


def test_why_a_gap_is_undecided():
    """Gaps of 40 groups that all lean one way, of 4 that all do, and of 40 that do not know, among 20 of pure noise."""
    random = np.random.default_rng(0)
    lean, noise = 0.4 + random.normal(size=40), random.normal(size=(40, 20))
    four = np.where(np.arange(40) < 4, 1.0 + 0.1 * random.normal(size=40), 0)
    gap = _gap(np.column_stack([lean, four, noise]))
    count_NC = gap.count_NC.copy()
    count_NC[4:, 1] = 0
    gap = dataclasses.replace(gap, count_NC=count_NC)
    found = equivalence({"a": gap}, 0.01, seed=0)["a"]
    assert found.whys[:3] == (Why.MANY_CATEGORIES, Why.FEW_GROUPS, Why.WIDE)
    assert found.p_C[0] < 0.05 < found.p_all_C[0] and np.isnan(found.band.high_C[1])
    alone = equivalence({"a": _gap(lean[:, None])}, 0.01, seed=0)["a"]
    assert (alone.verdicts, alone.whys) == ((Verdict.DIFFERS,), (Why.DECIDED,))


def test_identical_models_are_equivalent_and_a_gap_of_the_margin_is_not():
    same, apart = np.zeros((20, 1)), np.full((20, 1), 0.02)
    found = equivalence({"same": _gap(same), "apart": _gap(apart)}, 0.01, seed=0)
    assert found["same"].verdicts == (Verdict.EQUIVALENT,)
    assert found["apart"].verdicts == (Verdict.DIFFERS,)
    for ends in (found["same"].gap, found["same"].band):
        assert (ends.estimate_C, ends.low_C, ends.high_C) == (0, 0, 0)


def test_with_five_groups_nothing_is_ever_told():
    """All 2 · 2⁻⁵ of chance are more than one in twenty, however large the gap and however well they agree."""
    five, six = (equivalence({"a": _gap(np.linspace(90, 91, n)[:, None])}, 0.01, seed=0)["a"] for n in (5, 6))
    assert (five.verdicts[0], five.whys[0], five.p_C[0]) == ("undecided", "few groups", 2 / 32)
    assert (six.verdicts[0], six.p_C[0]) == ("differs", 2 / 64)


@pytest.mark.parametrize("freedom", [1, 30], ids=["tails without a mean", "nearly normal"])
def test_intervals_of_few_groups_of_unequal_size_hold_the_truth(freedom):
    """Student's interval of the same gaps misses up to 12 times in a hundred."""
    random, truth, names = np.random.default_rng(0), 0.7, tuple(("label", str(c)) for c in range(100))
    for clusters in (6, 10, 20):
        held = []
        for _ in range(10):
            count_NC = random.lognormal(0, 1, size=(clusters, 100)).round(2) + 0.05
            total_NC = count_NC * (truth + random.standard_t(freedom, size=count_NC.shape))
            gap = Sums(total_NC=total_NC, count_NC=count_NC, categories=names, data="x", unit="byte")
            found = equivalence({"a": gap}, 1.0, seed=0, permutations=499)["a"].gap
            held.append(np.mean((found.low_C < truth) & (truth < found.high_C)))
        assert np.mean(held) >= 0.93


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
        band = equivalence({"a": gap}, 1.0, seed=0, permutations=300)["a"].band
        held.append(not np.any((band.low_C > 0) | (band.high_C < 0)))
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


def test_a_margin_and_one_text_are_asked_for():
    gap = _gap(np.ones((3, 1)))
    with pytest.raises(ConfigError, match="positive number of nats declared beforehand, but it is 0"):
        equivalence({"a": gap}, 0.0, seed=0)
    with pytest.raises(ConfigError, match="data are {'a': '4f1c', 'b': '9e07'}"):
        equivalence({"a": gap, "b": _gap(np.ones((3, 1)), data="9e07")}, 0.01, seed=0)
    with pytest.raises(
        ConfigError, match="the gaps have no cluster, so no token was compared .* a text that all models"
    ):
        equivalence({"a": _gap(np.ones((0, 1)))}, 0.01, seed=0)
