"""Text that is certain: the same however the ids are cut, and never with a stop string in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridlm.sampling.stopping import Reader


def read(pieces, stops=()):
    """What each piece adds, and what the end adds, with ids that are bytes."""
    reader = Reader(bytes, stops)
    heard = [*(reader.read(piece) for piece in pieces), reader.close()]
    assert reader.size == len("".join(heard).replace("\ufffd", "?").encode())
    return heard, reader.has_stopped


@pytest.mark.parametrize(
    ("pieces", "stops", "heard", "stopped"),
    [
        ([b"ab", b"cd"], (), ["ab", "cd", ""], False),
        ([b"ab\n", b"\ncd"], ("\n\n",), ["ab", "", ""], True),  # the first line break waits for the second
        ([b"ab\n", b"cd"], ("\n\n",), ["ab", "\ncd", ""], False),
        ([b"ab\n"], ("\n\n",), ["ab", "\n"], False),
        ([b"abcd"], ("abcd", "c"), ["ab", ""], True),  # "c" is complete first
        ([b"xbc"], ("bc", "c"), ["x", ""], True),  # of two that end together, the longer
        ([b"stop", b"more"], ("stop",), ["", "", ""], True),
        (["é".encode()[:1], "é".encode()[1:]], (), ["", "é", ""], False),
        ([b"a\xc3"], (), ["a", "\ufffd"], False),
    ],
)
def test_pictures(pieces, stops, heard, stopped):
    assert read(pieces, stops) == (heard, stopped)


@given(st.text("ab\né", max_size=12), st.lists(st.text("ab\né", min_size=1, max_size=3), max_size=3), st.data())
def test_the_text_does_not_depend_on_how_it_is_cut(text, stops, data):
    whole = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(whole)])]
    heard, stopped = read(pieces, stops)
    got = "".join(heard)
    assert (got, stopped) == ("".join(read([whole], stops)[0]), stopped)
    assert stopped == any(stop in text for stop in stops)
    assert not any(stop in got for stop in stops) and text.startswith(got)
    assert stopped or got == text
