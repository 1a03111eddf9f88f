import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hybridlm.statistics import sign_flips
from hybridlm.statistics.linearised import ratio, standard_error
from hybridlm.statistics.sign_flips import flips


def _equal(total_NC):
    """Clusters of one size."""
    return np.ones_like(total_NC, float)


def _uneven(clusters, categories=1, seed=0, shift=0.4):
    random = np.random.default_rng(seed)
    count_NC = random.integers(1, 50, size=(clusters, categories)).astype(float)
    return count_NC * random.normal(shift, size=count_NC.shape), count_NC


def _t(total_NC, count_NC):
    return ratio(total_NC.sum(0), count_NC.sum(0)) / standard_error(total_NC, count_NC)


def test_five_clusters_that_agree_by_hand():
    """Of 32 sign assignments only two, all plus and all minus, reach as far: p is that, not at most that."""
    total_NC = np.array([[1.0], [2.0], [0.5], [3.0], [1.0]])
    found = flips(total_NC, _equal(total_NC), seed=0)
    assert found.p_C == found.p_all_C == 2 / 32
    assert not found.is_least_C.any() and np.isnan(found.critical_C).all()


@pytest.mark.parametrize("clusters", [2, 3, 7])
def test_p_is_the_share_of_assignments_whose_t_reaches_the_observed_one(clusters):
    total_NC, count_NC = _uneven(clusters, seed=clusters)
    signs = (np.array(signs)[:, None] for signs in itertools.product((1, -1), repeat=clusters))
    t = np.abs([_t(sign_N1 * total_NC, count_NC).item() for sign_N1 in signs])
    expected = (t >= abs(_t(total_NC, count_NC)) * (1 - 1e-9)).mean()
    assert flips(total_NC, count_NC, seed=0).p_C == expected


def test_with_clusters_of_one_size_p_is_that_of_their_sum():
    random = np.random.default_rng(3)
    a_N, b_N = random.normal(size=9), random.normal(0.5, size=9)
    expected = stats.permutation_test((a_N, b_N), lambda a, b, axis: (a - b).sum(axis), permutation_type="samples")
    total_NC = (a_N - b_N)[:, None]
    assert flips(total_NC, _equal(total_NC), seed=0).p_C == pytest.approx(expected.pvalue)


def test_the_squeezed_t_of_equal_clusters_by_hand():
    """|Σ d| / √Σ d² = 4 / √6 as observed, and with the sign of the last cluster turned 0 / √6."""
    total_NC = np.array([[1.0], [1.0], [2.0]])
    found = sign_flips.squeezed(total_NC, _equal(total_NC), seed=0, permutations=0)[:, 0]
    np.testing.assert_allclose(found, np.array([4, 0, 2, 2]) / np.sqrt(6), atol=1e-9)


def test_p_is_small_exactly_where_t_exceeds_the_critical_one():
    total_NC, count_NC = _uneven(14, categories=50, shift=0.8)
    found = flips(total_NC, count_NC, seed=0)
    t_C = np.abs(_t(total_NC, count_NC))
    for p_C, critical_C in ((found.p_C, found.critical_C), (found.p_all_C, found.critical_all_C)):
        is_found_C = p_C <= 0.05
        assert 0 < is_found_C.sum() < 50
        np.testing.assert_array_equal(t_C > critical_C * (1 + 1e-9), is_found_C)


def test_drawn_signs_agree_with_all_of_them(monkeypatch):
    sums = _uneven(14, categories=4)
    exact = flips(*sums, seed=0)
    monkeypatch.setattr(sign_flips, "EXACT", 1)
    drawn = flips(*sums, seed=0, permutations=20_000)
    np.testing.assert_allclose(drawn.p_C, exact.p_C, atol=0.012)
    np.testing.assert_allclose(drawn.p_all_C, exact.p_all_C, atol=0.012)
    np.testing.assert_allclose(drawn.critical_C, exact.critical_C, rtol=0.03)


def test_drawn_p_is_never_zero_and_the_least_is_known_as_such():
    total_NC = np.hstack([np.ones((40, 1)), np.random.default_rng(1).normal(size=(40, 1))])
    found = flips(total_NC, _equal(total_NC), seed=0, permutations=99)
    assert found.p_C[0] == 1 / 100
    assert found.p_all_C[0] == 2 / 100, "in the other category, too, some flip gets furthest"
    assert found.is_least_C.tolist() == [True, False]


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    clusters=st.integers(2, 12),
    categories=st.integers(1, 6),
    digits=st.sampled_from([0, 9]),
    level=st.sampled_from([0.5, 0.9, 0.95, 0.99]),
    numbers=st.sampled_from([1, 300, 2**21]),
)
def test_pieces_of_any_size_say_what_the_whole_table_says(seed, clusters, categories, digits, level, numbers):
    """Everything by its definition, from the T of all flips of all categories at once."""
    random = np.random.default_rng(seed)
    count_NC = random.integers(1, 9, size=(clusters, categories)) * (random.random((clusters, categories)) < 0.7)
    total_NC = count_NC * random.normal(1, size=count_NC.shape).round(digits)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sign_flips, "EXACT", 6)
        t_RC = sign_flips.squeezed(total_NC, count_NC, seed=0, permutations=99)
        patch.setattr(sign_flips, "_CHUNK", numbers)
        found = flips(total_NC, count_NC, seed=0, permutations=99, level=level)
    is_tested_C, many = (count_NC > 0).sum(0) > 1, len(t_RC)
    reached_RC = (t_RC >= t_RC[:, None]).sum(1)
    fewest_R = np.sort(reached_RC.min(1))
    p_all_C = (fewest_R[:, None] <= reached_RC[0]).mean(0)
    np.testing.assert_array_equal(found.p_C, np.where(is_tested_C, reached_RC[0] / many, np.nan))
    np.testing.assert_array_equal(found.p_all_C, np.where(is_tested_C, p_all_C, np.nan))
    beyond = int(round(many * (1 - level), 6))
    for critical_C, too_many in ((found.critical_C, beyond + 1), (found.critical_all_C, fewest_R[beyond])):
        bar_C = np.sort(t_RC, axis=0)[-too_many]
        has_bar_C = is_tested_C & ((bar_C < t_RC.max(0)) | (t_RC.max(0) == 0))
        n_C, square_C = (count_NC > 0).sum(0), critical_C**2
        np.testing.assert_array_equal(np.isfinite(critical_C), has_bar_C)
        np.testing.assert_allclose(np.sqrt(n_C * square_C / (n_C - 1 + square_C))[has_bar_C], bar_C[has_bar_C])


def test_many_categories_are_never_held_all_at_once(monkeypatch):
    """The T of all flips of all categories is 13 MB."""
    monkeypatch.setattr(sign_flips, "_CHUNK", 2**14)
    total_NC, count_NC = _uneven(20, categories=200)
    tracemalloc.start()
    flips(total_NC, count_NC, seed=0, permutations=8000)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 8001 * 200 * 8 / 4


def test_identical_models_and_single_clusters_prove_nothing():
    total_NC, count_NC = np.zeros((20, 3)), np.ones((20, 3))
    total_NC[3, 1], count_NC[1:, 2] = 5.0, 0
    found = flips(total_NC, count_NC, seed=0)
    np.testing.assert_array_equal(found.p_C, [1, 1, np.nan])
    np.testing.assert_array_equal(found.p_all_C, [1, 1, np.nan])
    np.testing.assert_array_equal(found.critical_C, [0, np.nan, np.nan])


def test_clusters_without_the_category_change_nothing():
    total_NC, count_NC = np.zeros((500, 1)), np.zeros((500, 1))
    total_NC[::100, 0], count_NC[::100, 0] = [1, 2, 0.5, 3, 1], 1
    found = flips(total_NC, count_NC, seed=0)
    assert found.p_C == pytest.approx(2 / 32, abs=0.01) and not found.is_least_C.any(), "many flips got as far"
    assert np.isnan(found.critical_C).all()


@pytest.mark.parametrize("clusters", [7, 25])
def test_chance_is_called_a_finding_as_often_as_stated_however_heavy_the_tails(clusters):
    total_NC = np.random.default_rng(0).standard_cauchy(size=(clusters, 2000))
    count_NC = np.random.default_rng(1).integers(1, 50, size=total_NC.shape)
    p_C = flips(total_NC, count_NC, seed=1, permutations=999).p_C
    assert np.mean(p_C <= 0.05) == pytest.approx(0.045, abs=0.015)


def test_among_many_categories_chance_is_seldom_called_a_finding_anywhere():
    """Twelve clusters of twenty categories that go together, with tails that have no variance."""
    any_alone, any_of_all = [], []
    for seed in range(200):
        random = np.random.default_rng(seed)
        total_NC = random.standard_t(2, size=(12, 1)) + random.standard_t(2, size=(12, 20))
        found = flips(total_NC, _equal(total_NC), seed=0)
        any_alone.append((found.p_C <= 0.05).any())
        any_of_all.append((found.p_all_C <= 0.05).any())
    assert np.mean(any_of_all) <= 0.09 and np.mean(any_alone) > 0.25


def test_copies_of_a_category_and_categories_of_few_groups_make_nothing_harder():
    total_NC, count_NC = _uneven(40, seed=1)
    alone = flips(total_NC, count_NC, seed=0).p_C
    many = [np.repeat(array, 50, axis=1) for array in (total_NC, count_NC)]
    few = [np.where(np.arange(40)[:, None] < 3, array, 0) for array in many]
    found = flips(*(np.hstack(both) for both in zip(many, few)), seed=0)
    assert found.p_all_C[:50] == pytest.approx(alone.item()) and np.isnan(found.critical_all_C[50:]).all()


def test_categories_that_lie_in_one_group_make_nothing_harder():
    """One of fifty groups holds nearly all of ten categories: flips give them a wild t, which is theirs alone."""
    total_NC, count_NC = _uneven(50, categories=11, seed=1, shift=0.6)
    even = flips(total_NC, count_NC, seed=0)
    for array in (total_NC, count_NC):
        array[0, 1:] *= 1000
    found = flips(total_NC, count_NC, seed=0)
    assert np.median(found.critical_C[1:]) > 5 * even.critical_C[1:].max()
    assert found.critical_all_C[0] == pytest.approx(even.critical_all_C[0], rel=0.03)
    assert found.p_all_C[0] == pytest.approx(even.p_all_C[0], rel=0.1)
