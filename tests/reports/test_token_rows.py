"""Batches become rows: wherever documents are cut, they spell their text and their tokens lie where they lie."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridlm.config.errors import ConfigError
from hybridlm.reports import token_reader, token_writer
from hybridlm.reports.token_file import Family, Header, Reading
from hybridlm.reports.token_rows import Spelling, columns

BYTES = [b"", b"a", b"bc", b"\xe2\x82", b"\xac", b" d"]
DOCUMENT = np.array([7, 7, 7, 7, 4, 4, 7, 7])
TOKEN = np.array([1, 3, 4, 5, 2, 0, 1, 0])
"""Document 7 is "a€ da", cut by document 4, "bc"; both end in a token without bytes."""


def test_a_picture():
    spelling = Spelling(BYTES)
    places = spelling.places(DOCUMENT, TOKEN)
    assert places["position"].tolist() == [0, 1, 2, 3, 0, 1, 4, 5]
    assert list(zip(places["byte_start"].tolist(), places["byte_end"].tolist())) == [
        *((0, 1), (1, 3), (3, 4), (4, 6), (0, 2), (2, 2), (6, 7), (7, 7)),
    ]
    names = [f"doc {n}" for n in range(8)]
    assert spelling.texts(names) == {"doc 7": "a€ da", "doc 4": "bc"}


@settings(max_examples=25)
@given(st.sets(st.integers(0, 8)))
def test_batches_may_be_cut_anywhere(cuts):
    whole, spelling = Spelling(BYTES).places(DOCUMENT, TOKEN), Spelling(BYTES)
    edges = sorted({0, 8} | cuts)
    parts = [spelling.places(DOCUMENT[a:b], TOKEN[a:b]) for a, b in itertools.pairwise(edges)]
    for name, column in whole.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), column)


def test_half_a_character_is_no_text():
    spelling = Spelling(BYTES)
    spelling.places(np.array([0]), np.array([3]))
    with pytest.raises(
        ConfigError, match="the tokens of document 'x' spell no UTF-8 at byte 0: some of them are missing"
    ):
        spelling.texts(["x"])


def test_rows_are_written_and_read(tmp_path):
    spelling = Spelling(BYTES)
    header = Header(
        readings={"ar": Reading()},
        families={"kind": Family(labels={"word": "", "end": ""})},
        tokenizer="t",
        checkpoint="c",
        code="x",
    )
    rows = columns(
        spelling.places(DOCUMENT, TOKEN),
        DOCUMENT,
        DOCUMENT // 7,
        documents="doc {}".format,
        groups=["one", "two"].__getitem__,
        values={"score/ar": (np.arange(8.0), np.arange(8) != 0)},
        facts={"token": TOKEN},
        labels={"kind": (TOKEN == 0).astype(int)},
    )
    token_writer.write(tmp_path / "a.parquet", header, rows, spelling.texts([f"doc {n}" for n in range(8)]))
    found = token_reader.read(tmp_path / "a.parquet")
    assert found.documents == ("doc 4", "doc 7") and found.groups == ("one", "two")
    assert found.columns["token"].tolist() == [2, 0, 1, 3, 4, 5, 1, 0]
    np.testing.assert_array_equal(found.columns["score/ar"], [4, 5, np.nan, 1, 2, 3, 6, 7])
    assert found.labels["label/kind"].tolist() == [0, 1, 0, 0, 0, 0, 0, 1]
