"""The order in which sources take turns, against a loop that draws row by row."""

import collections

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridlm.config.data import DataConfig
from hybridlm.config.sources import Mixing, Source
from hybridlm.data.mixing import Mixture, Pattern, in_rows


def drawn(mixture, places):
    """(source, row of it) of every place."""
    return [(mixture.names[source], turn) for source, turn in zip(*(part.tolist() for part in mixture(places)))]


def test_a_picture():
    """A half and two quarters take turns like this, over and over; the second phase goes on where the first ended."""
    mixture = Mixture("abc", {0: {"a": 0.5, "b": 0.25, "c": 0.25}, 6: {"a": 0.0, "b": 0.5, "c": 0.5}})
    assert " ".join(f"{name}{turn}" for name, turn in drawn(mixture, np.arange(10))) == "a0 b0 c0 a1 a2 b1 b2 c1 b3 c2"


shares_of_four = (
    st.lists(st.integers(0, 40), min_size=1, max_size=4)
    .filter(sum)
    .map(
        lambda parts: [part / 10**4 for part in np.diff(np.floor(np.cumsum([0, *parts]) * 10**4 / sum(parts))).tolist()]
    )
)


@settings(deadline=None, max_examples=40)
@given(shares_of_four)
def test_shares_are_exact_in_every_period_and_near_everywhere(shares):
    pattern = Pattern(shares)
    counts_KN = pattern.drawn(np.arange(2 * pattern.period + 1))
    exact_KN = np.outer(shares, np.arange(2 * pattern.period + 1))
    assert np.allclose(counts_KN[:, [pattern.period, -1]], exact_KN[:, [pattern.period, -1]], atol=1e-9)
    assert np.abs(counts_KN - exact_KN).max() <= len(shares) / 2 + 1e-9
    steps_KN = np.diff(counts_KN)
    assert (steps_KN.sum(0) == 1).all() and (steps_KN.argmax(0) == pattern.sources(np.arange(2 * pattern.period))).all()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 90), st.integers(0, 10)), min_size=1, max_size=4), st.randoms())
def test_every_source_gives_its_rows_in_order_across_phases_and_whoever_asks(phases, random):
    first, spans = 0, {}
    for length, tenths in phases:
        spans[first] = {"a": tenths / 10, "b": (10 - tenths) / 10}
        first += length
    mixture, counts = Mixture("ab", spans), collections.Counter()
    for place, (name, turn) in enumerate(drawn(mixture, np.arange(first + 50))):
        assert mixture.drawn(place) == {"a": counts["a"], "b": counts["b"]}
        assert turn == counts[name]
        counts[name] += 1
    places = [random.randrange(first + 50) for _ in range(20)]
    assert drawn(mixture, np.array(places)) == [drawn(mixture, np.array([place]))[0] for place in places]


def test_shares_follow_a_corpus_that_has_moved():
    config = DataConfig(sources=("new/a", "new/b"), mixing=(Mixing(shares={"new/a": 0.3, "new/b": 0.7}),))
    (mixing,) = in_rows(config, (Source(path="old/a"), Source(path="old/b")))
    assert mixing.shares == {"old/a": 0.3, "old/b": 0.7}


@pytest.mark.parametrize("share", [1 / 3, 0.1, 0.0001])
def test_a_share_is_a_fraction_of_at_most_ten_thousand(share):
    assert Pattern([round(share, 4), round(1 - round(share, 4), 4)]).period <= 10_000
