"""Every byte of a continuation is in a scored token, and every scored token is scored once, with a full window."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridlm.config.errors import ConfigError
from hybridlm.data.tokenizer import Tokenizer
from hybridlm.offline.continuations import requests, windows

PIECES = (b"", b"a", b"b", b" ", b" b", b"ab", "é".encode())


def tokenizer(encode):
    return Tokenizer("tokenizer.json", b"", PIECES, pad=0, bos=0, eos=0, mask=0, encode=encode)


def longest(texts):
    """Greedy: the longest piece that fits."""
    for text in texts:
        rest, ids = text.encode(), []
        while rest:
            ids.append(max((n for n, p in enumerate(PIECES) if p and rest.startswith(p)), key=lambda n: len(PIECES[n])))
            rest = rest[len(PIECES[ids[-1]]) :]
        yield ids


def asked(context, continuation):
    (found,) = requests(tokenizer(longest), [(context, continuation)])
    return [PIECES[n] for n in found.ids], found.first


def test_a_continuation_is_all_tokens_that_hold_one_of_its_bytes():
    assert asked("b", "a") == ([b"b", b"a"], 1)
    assert asked("", "ba") == ([b"b", b"a"], 0)
    assert asked("a", "b") == ([b"ab"], 0), "one token spans both sides, and it is not lost"
    assert asked("aé", "b") == ([b"a", "é".encode(), b"b"], 2), "bytes are counted, not characters"


def test_space_before_a_continuation_belongs_to_it():
    assert asked("a ", "b") == asked("a", " b") == ([b"a", b" b"], 1)
    assert asked("a ", "a") == ([b"a", b" ", b"a"], 1)


def test_a_text_that_its_tokens_do_not_spell_is_refused():
    with pytest.raises(ConfigError, match="does not give back the text 'b a'"):
        requests(tokenizer(lambda texts: [[2, 1] for _ in texts]), [("b", " a")])


def test_windows_of_a_long_text_and_the_last_one_is_full():
    assert list(windows(10, 0, 4)) == [(0, 0, 4), (4, 4, 8), (6, 8, 10)]
    assert list(windows(10, 8, 4)) == [(6, 8, 10)], "a context is cut on its left"
    assert list(windows(3, 1, 4)) == [(0, 1, 3)]
    assert list(windows(10, 0, 4, least=1)) == [(0, 1, 4), (3, 4, 7), (6, 7, 10)], "there is no BOS to stand on"
    assert list(windows(2, 2, 4)) == [], "an empty continuation"


@settings(max_examples=100)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(2, 20), st.integers(0, 1))
def test_each_token_is_scored_once_within_its_room(length, first, room, least):
    found = list(windows(length, min(first, length), room, least=least))
    scored = np.concatenate([np.arange(a, b) for _, a, b in found]) if found else np.zeros(0)
    assert scored.tolist() == list(range(max(min(first, length), least), length))
    for begin, done, end in found:
        assert 0 <= begin <= done - least and end - begin <= room
        assert end - begin == min(room, end), "as much context as there is room for"
