import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridlm.config.errors import ConfigError
from hybridlm.facts.kinds import ScoreKind
from hybridlm.statistics.sums import Sums, cluster_sums, difference, joint_cluster_sums


def _sums(**changes):
    known = {
        "total_NC": np.array([[6.0, 2.0], [9.0, 0.0]]),
        "count_NC": np.array([[3, 1], [3, 0]]),
        "categories": (("bracket", "none"), ("bracket", "open")),
        "data": "4f1c",
    }
    return Sums(**(known | changes))


def test_tokens_are_added_up_by_cluster_and_label():
    value_T = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    cluster_T = np.array([0, 0, 1, 1, 1])
    label_MT = np.array([[0, 1, 0, 0, 1], [2, 2, 3, -1, 2]])  # the second family starts at 2; one token has none of it
    expected_NC = [[1, 2, 3, 0], [12, 16, 16, 4]]
    found = cluster_sums(value_T, cluster_T, label_MT, clusters=2, categories=4)
    np.testing.assert_array_equal(found, expected_NC)


def test_pieces_of_a_text_add_up_to_the_whole():
    random = np.random.default_rng(0)
    value_T, cluster_T, label_MT = random.normal(size=90), random.integers(7, size=90), random.integers(-1, 5, (3, 90))
    sizes = {"clusters": 7, "categories": 5}
    parts = [
        cluster_sums(value_T[cut], cluster_T[cut], label_MT[:, cut], **sizes) for cut in (slice(40), slice(40, None))
    ]
    np.testing.assert_allclose(sum(parts), cluster_sums(value_T, cluster_T, label_MT, **sizes))


@pytest.mark.parametrize(
    "cluster, label, error",
    [
        (2, 0, "cluster numbers must lie below 2, but they run from 0 to 2"),
        (-1, 0, "cluster numbers must lie below 2, but they run from -1 to 0"),
        (1, 4, "label numbers must lie below 4, but they run from 0 to 4"),
    ],
)
def test_numbers_that_would_land_in_another_cell_are_refused(cluster, label, error):
    with pytest.raises(ConfigError, match=error):
        cluster_sums(np.ones(2), np.array([0, cluster]), np.array([[0, label]]), clusters=2, categories=4)


def test_a_gap_is_baseline_minus_model_so_that_positive_is_better():
    better = _sums(total_NC=np.array([[3.0, 1.0], [9.0, 0.0]]))
    gap = difference(_sums(), better)
    np.testing.assert_array_equal(gap.total_NC, [[3, 1], [0, 0]])
    np.testing.assert_array_equal(gap.count_NC, better.count_NC)


def test_different_data_are_refused_with_both_hashes():
    with pytest.raises(ConfigError) as error:
        difference(_sums(), _sums(data="9e07"))
    assert str(error.value) == (
        "a paired comparison needs two readings of the same text, but the baseline's is 4f1c and the model's is 9e07; "
        "score both on the same rows."
    )


def test_kinds_are_never_subtracted_from_each_other():
    with pytest.raises(ConfigError, match="values of different kinds answer different questions"):
        difference(_sums(), _sums(kind=ScoreKind.SHARE))


def test_units_and_categories_must_agree():
    with pytest.raises(ConfigError, match="needs one unit, but the baseline has 'token' and the model 'byte'"):
        difference(_sums(), _sums(unit="byte"))
    with pytest.raises(ConfigError, match="needs one categories"):
        difference(_sums(), _sums(categories=(("bracket", "none"), ("bracket", "close"))))


def test_other_tokens_of_the_same_text_are_refused():
    other = _sums(total_NC=np.array([[6.0, 2.0], [9.0, 1.0]]), count_NC=np.array([[3, 1], [3, 1]]))
    with pytest.raises(ConfigError, match=r"count different tokens of \[\('bracket', 'open'\)\].*count bytes"):
        difference(_sums(), other)


def test_tokenizers_are_compared_by_bytes():
    """Two tokenizers cut six bytes into two and three tokens; the bytes are the same, and so is what is divided by."""
    by_byte = {"count_NC": np.array([[6]]), "categories": (("all", "all"),), "unit": "byte"}
    gap = difference(_sums(total_NC=np.array([[9.0]]), **by_byte), _sums(total_NC=np.array([[6.0]]), **by_byte))
    assert gap.total_NC / gap.count_NC == pytest.approx(0.5)


@pytest.mark.parametrize("total", [np.nan, np.inf, 0.5])
def test_values_without_a_token_or_that_are_not_finite_are_refused(total):
    total_NC = np.array([[6.0, 2.0], [9.0, total]])
    with pytest.raises(ConfigError, match=r"sums of \[\('bracket', 'open'\)\] hold a value that is not finite"):
        _sums(total_NC=total_NC)


def test_a_token_may_have_no_bytes():
    """The end of a document costs nats and has no bytes of its own."""
    assert dataclasses.replace(_sums(), total_NC=np.array([[6.0, 2.0], [9.0, 0.5]]), unit="byte").unit == "byte"


def test_every_column_has_a_name():
    with pytest.raises(ConfigError, match="one .family, label. per column; 1 name 2 columns"):
        _sums(categories=(("all", "all"),))


@given(st.integers(1, 40), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_several_values_are_added_up_at_once(tokens, values, seed):
    dice = np.random.default_rng(seed)
    value_TK, cluster_T = dice.normal(size=(tokens, values)), dice.integers(3, size=tokens)
    label_MT = np.stack([np.zeros(tokens, int), dice.integers(1, 4, size=tokens)])
    shape = {"clusters": 3, "categories": 4}
    found = joint_cluster_sums(value_TK, cluster_T, label_MT, **shape)
    for k in range(values):
        np.testing.assert_allclose(
            found[..., k], cluster_sums(value_TK[:, k], cluster_T, label_MT, **shape), atol=1e-12
        )
