"""Tokens of different tokenizers on one scale: cuts that all share, and sums that are kept."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridlm.reports.comparing.segments import common_cuts, costs, segment_of, spread


def spans(*ends):
    """Tokens without gaps, by their ends."""
    return np.array([0, *ends[:-1]]), np.array(ends)


def test_a_picture():
    """the| cat|s| ran   against   the| ca|ts| ran: only "cats" has to be taken as one."""
    one, other = spans(3, 7, 8, 12), spans(3, 6, 8, 12)
    cuts = common_cuts([one, other])
    assert cuts.tolist() == [0, 3, 8, 12]
    cost = costs(one, np.array([1.0, 2.0, 4.0, 8.0]), cuts)
    assert cost.tolist()[:3] == [1.0, 6.0, 8.0] and np.isnan(cost[3]), "nothing begins at the last cut"
    assert spread(one, cost, cuts).tolist() == [1.0, 6.0 * 4 / 5, 6.0 * 1 / 5, 8.0]


def test_a_segment_that_one_reading_did_not_score_is_left_out():
    cuts = common_cuts([spans(3, 7, 8), spans(3, 8)])
    assert np.isnan(costs(spans(3, 7, 8), np.array([1.0, np.nan, 4.0]), cuts)).tolist() == [False, True, True]


def test_text_that_no_token_covers_is_no_segment():
    start, end = np.array([0, 5]), np.array([3, 8])
    cuts = common_cuts([(start, end), spans(3, 5, 8)])
    assert cuts.tolist() == [0, 3, 5, 8]
    assert np.isnan(costs((start, end), np.array([1.0, 2.0]), cuts)).tolist() == [False, True, False, True]


def test_a_token_without_bytes_goes_with_what_follows_it():
    start, end = np.array([0, 3, 3, 6]), np.array([3, 3, 6, 6])
    cuts = common_cuts([(start, end)])
    assert segment_of(start, cuts).tolist() == [0, 1, 1, 2]
    assert costs((start, end), np.array([1.0, 2.0, 4.0, 8.0]), cuts).tolist()[:2] == [1.0, 6.0]


@settings(max_examples=60)
@given(st.lists(st.sets(st.integers(1, 39)), min_size=1, max_size=4), st.integers(0, 2**31))
def test_sums_are_kept_under_every_reading(inner, seed):
    tokenizations = [spans(*sorted(cuts | {40})) for cuts in inner]
    cuts = common_cuts(tokenizations)
    assert set(cuts.tolist()) == {0, 40} | set.intersection(*inner), "no finer, and no coarser"
    random = np.random.default_rng(seed)
    for own in tokenizations:
        score = random.exponential(2, len(own[0]))
        cost = costs(own, score, cuts)
        assert np.isclose(np.nansum(cost), score.sum())
        for base in tokenizations:
            assert np.isclose(spread(base, cost, cuts).sum(), score.sum())


@settings(max_examples=30)
@given(st.sets(st.integers(1, 29), min_size=1), st.integers(0, 2**31))
def test_splitting_tokens_changes_no_segment(cuts, seed):
    """A tokenization and one that splits its tokens further have the coarser one's segments."""
    coarse = spans(*sorted(cuts | {30}))
    score = np.random.default_rng(seed).exponential(2, len(coarse[0]))
    fine = spans(*range(1, 31))
    by_byte = spread(fine, costs(coarse, score, common_cuts([coarse, fine])), common_cuts([coarse, fine]))
    assert np.allclose(costs(fine, by_byte, common_cuts([coarse, fine]))[:-1], score)
