"""Bytes of tokens from pieces and from offsets; what does not spell the text is refused."""

import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.reports.engines.spans import of_offsets, of_pieces


def pairs(spans):
    return list(zip(*(edge.tolist() for edge in spans)))


def test_pieces_of_a_cut_character_keep_their_own_bytes():
    assert pairs(of_pieces("a€b", [b"", b"a", b"\xe2\x82", b"\xac", b"b"])) == [(0, 0), (0, 1), (1, 3), (3, 4), (4, 5)]


def test_pieces_that_do_not_spell_the_text_are_refused():
    with pytest.raises(ConfigError, match=r"the tokens spell b'\\x82\\xacb' at byte 1 where the text has"):
        of_pieces("a\u20acb", [b"a", b"\x82\xac", b"b"])


def test_offsets_count_characters_and_the_last_token_of_a_character_has_its_bytes():
    offsets = [(0, 0), (0, 1), (1, 2), (1, 2), (1, 2), (2, 3), (0, 0)]
    assert pairs(of_offsets("a€b", offsets)) == [(0, 0), (0, 1), (1, 1), (1, 1), (1, 4), (4, 5), (5, 5)]


def test_trimmed_spaces_go_with_the_token_after_them():
    assert pairs(of_offsets("the  cat. é", [(0, 3), (5, 8), (8, 9), (10, 11)])) == [(0, 3), (3, 8), (8, 9), (9, 12)]


def test_text_that_a_tokenizer_drops_is_not_given_to_anyone():
    assert pairs(of_offsets("a☃b", [(0, 1), (2, 3)])) == [(0, 1), (4, 5)]


def test_offsets_of_another_text_are_refused():
    with pytest.raises(ConfigError, match="offsets must be spans of the 2 characters of the text; do they count bytes"):
        of_offsets("a€", [(0, 1), (1, 4)])


def test_no_tokens_have_no_spans():
    assert pairs(of_offsets("", [])) == pairs(of_pieces("", [])) == []
