"""Which passages are shown, by the stated rule, and how their text is cut."""

import numpy as np
import pytest

from hybridlm.reports.comparing.passages import PASSAGES, PER_GROUP, choose, passages, pieces, spelled


def test_passages_begin_with_documents_and_after_so_many_tokens():
    document_T = np.array([0] * 170 + [1] * 3 + [2] * 80)
    assert np.bincount(pieces(document_T)).tolist() == [80, 80, 10, 3, 80]


def test_gains_and_losses_take_turns_and_no_group_more_than_its_share():
    total_P = np.array([5.0, 4.0, 3.0, 2.0, -1.0, -6.0, 0.0])
    group_P = np.array([0, 0, 0, 1, 1, 1, 2])
    chosen = choose(total_P, group_P, iter([]))
    assert list(chosen) == [0, 5, 1, 4] and PER_GROUP == 2
    assert set(chosen.values()) == {"among the largest gains of all", "among the largest losses of all"}


def test_extremes_of_categories_come_first():
    chosen = choose(
        np.array([5.0, 4.0, -3.0]), np.array([0, 1, 2]), iter([(2, "largest loss of kind word"), (2, "again")])
    )
    assert list(chosen) == [2, 0, 1] and chosen[2] == "largest loss of kind word"


def test_there_are_never_more_than_promised():
    many = np.random.default_rng(0).normal(size=2000)
    assert len(choose(many, np.arange(2000), ((n, "") for n in range(1500)))) == PASSAGES


def test_a_character_belongs_to_the_token_with_its_last_byte():
    text = "a€b é".encode()
    found = list(spelled(text, [(0, 1), (1, 3), (3, 4), (4, 5), (6, 8)]))
    assert [(token.before, token.text) for token in found] == [("", "a"), ("", ""), ("", "€"), ("", "b"), (" ", "é")]
    assert [token.text for token in spelled(text, [(3, 4), (4, 5)])] == ["€", "b"], "a passage begins with a character"
    assert [token.text for token in spelled(text, [(8, 8)])] == [""]


def test_passages_are_the_text_with_its_numbers(compared):
    found, text = compared
    shown = passages(text)
    assert len(shown) == 36, "each document is shorter than a passage"
    assert [passage.gap for passage in shown] == sorted((passage.gap for passage in shown), reverse=True)
    tokens = text.baseline.tokens
    for passage in shown[:5]:
        whole = tokens.texts[tokens.documents.index(passage.document)].decode()
        assert whole.endswith("".join(token.before + token.text for token in passage.tokens))
        assert passage.gap == pytest.approx((passage.cost["base"] - passage.cost["model"]).sum(), abs=1e-4)
    assert sum(passage.gap for passage in shown) / found.tokens == pytest.approx(found.rows[0].gap)


def test_of_a_long_stretch_that_was_not_compared_only_the_ends_are_shown():
    text = b"ab" + b"c" * 500 + b"d" * 500 + b"ef"
    first, second = spelled(text, [(0, 2), (1002, 1004)])
    assert (first.before, first.text, second.text) == ("", "ab", "ef")
    assert second.before == "c" * 80 + " […] " + "d" * 80
