import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridlm.categories import bigrams, copies

IDS = st.lists(st.integers(0, 3), max_size=40) | st.lists(st.sampled_from([7, 50_000, 250_000]), max_size=25)


def ids_of(drawn):
    return np.array(drawn, np.int64)


def longest_copy(ids, at):
    """(length, latest earlier end) of the longest n-gram ending at a token that ended earlier too, by trying all."""
    for length in range(min(copies.LONGEST, at + 1), 0, -1):
        for end in range(at - 1, length - 2, -1):
            if ids[end - length + 1 : end + 1] == ids[at - length + 1 : at + 1]:
                return length, end
    return 0, -1


@settings(max_examples=200)
@given(IDS)
def test_copies_are_those_of_a_search_through_the_document(ids):
    found = copies.find(ids_of(ids))
    expected = [longest_copy(ids, at) for at in range(len(ids))]
    assert list(zip(found.length_N.tolist(), found.source_N.tolist())) == expected


@settings(max_examples=100)
@given(IDS, st.integers(1, 5))
def test_recall_pairs_lead_to_the_first_occurrence(ids, length):
    repeats, firsts = copies.recall_pairs(ids_of(ids), length)
    grams = {end: tuple(ids[end - length + 1 : end + 1]) for end in range(length - 1, len(ids))}
    first_end = {}
    for end, gram in grams.items():
        first_end.setdefault(gram, end)
    expected = [(end, first_end[gram]) for end, gram in grams.items() if first_end[gram] != end]
    assert list(zip(repeats.tolist(), firsts.tolist())) == expected


@settings(max_examples=100)
@given(IDS)
def test_continuations_are_counted_before_the_token(ids):
    expected = [
        len({ids[n + 1] for n in range(at - 1) if ids[n] == ids[at - 1]}) if at else 0 for at in range(len(ids))
    ]
    assert copies.continuations(ids_of(ids)).tolist() == expected


def test_numbers_too_large_to_pack_with_their_places_are_sorted_all_the_same():
    ids = np.random.default_rng(0).integers(0, 3, 200)
    small, large = copies.find(ids), copies.find(ids << 60)
    assert (small.length_N == large.length_N).all() and (small.source_N == large.source_N).all()


def test_a_repeated_sentence_is_copied_ever_longer():
    #                 the cat sat . the cat sat .
    ids = np.array([1, 2, 3, 4, 1, 2, 3, 4])
    assert copies.find(ids).length_N.tolist() == [0, 0, 0, 0, 1, 2, 3, 4]
    assert copies.find(ids).source_N.tolist() == [-1, -1, -1, -1, 0, 1, 2, 3]


def test_one_token_over_and_over_copies_itself_from_just_before():
    found = copies.find(np.full(12, 5))
    assert found.length_N.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8]
    assert found.source_N.tolist() == list(range(-1, 11))


@settings(max_examples=50)
@given(st.lists(IDS, max_size=4))
def test_bigrams_are_counted_within_documents(documents):
    counted = bigrams.count(map(ids_of, documents))
    pairs = [pair for ids in documents for pair in itertools.pairwise(ids)]
    assert counted.total == len(pairs)
    for ids in documents:
        expected = [1e6 * pairs.count(pair) / len(pairs) for pair in itertools.pairwise(ids)]
        np.testing.assert_allclose(counted.per_million(ids_of(ids)), expected)


def test_bigrams_that_share_a_slot_are_never_counted_too_low():
    ids = np.arange(500)
    counted = bigrams.count([ids], slots=64)
    assert counted.counts_H.sum() == 499 and (counted.per_million(ids) >= 1e6 / 499).all()
