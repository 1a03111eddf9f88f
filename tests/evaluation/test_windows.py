"""Every token of every document is scored exactly once, with the context that was asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridlm.data import packing
from hybridlm.data.rows import Rows
from hybridlm.evaluation.unscored import NEVER_PREDICTED
from hybridlm.evaluation.windows import Windows, spans

BOS, EOS = 1, 2


class Packed(Rows):
    """Documents whose every token is a number of its own, packed as preparation packs them."""

    def __init__(self, documents, row_length):
        lengths = np.array([len(tokens) for tokens in documents])
        pieces = packing.plan(lengths, row_length)
        tokens = np.concatenate(documents)
        self._columns = packing.fill(
            pieces,
            row_length,
            {"tokens": tokens, "label": tokens % 7},
            {"document": np.arange(len(documents)) + 5},
            np.cumsum(lengths) - lengths,
            pad=0,
            bos=BOS,
            eos=EOS,
        )
        self.row_length, self.names = row_length, tuple(self._columns)

    def __len__(self):
        return len(self._columns["tokens"])

    def read(self, indices):
        return {name: column[np.asarray(indices)] for name, column in self._columns.items()}


def numbered(lengths):
    """Documents of these lengths; tokens are numbered from 10 on, over all of them."""
    return np.split(np.arange(10, 10 + sum(lengths)), np.cumsum(lengths)[:-1])


def windows(rows, context):
    """What each window of all rows holds: tokens, whether scored, and the rest."""
    found = Windows(rows, context)
    columns = found.read(range(len(found)))
    for row, segments in enumerate(columns["segment_ids"]):
        for segment in range(1, segments.max(initial=0) + 1):
            here = np.flatnonzero(segments == segment)
            yield {name: column[row, here] for name, column in columns.items()}


def test_a_document_in_windows_of_five():
    """Seven tokens, of which two are context each time."""
    found = list(windows(Packed([np.arange(11, 18)], 5), context=2))
    assert [window["tokens"].tolist() for window in found] == [
        [BOS, 11, 12, 13, 14],
        [BOS, 13, 14, 15, 16],
        [BOS, 15, 16, 17, EOS],
    ]
    assert [window["scored"].tolist() for window in found] == [[0, 1, 1, 1, 1], [0, 0, 0, 1, 1], [0, 0, 0, 1, 1]]
    assert all(window["positions"].tolist() == [0, 1, 2, 3, 4] for window in found)


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    row_length=st.integers(4, 12),
    data=st.data(),
)
@settings(deadline=None, max_examples=60)
def test_every_token_is_scored_once_and_sees_its_context(lengths, row_length, data):
    context = data.draw(st.integers(0, row_length - 2))
    documents = numbered(lengths)
    place = {token: (n, i) for n, tokens in enumerate(documents) for i, token in enumerate(tokens.tolist())}
    scored, ends = [], 0
    for window in windows(Packed(documents, row_length), context):
        tokens, is_scored = window["tokens"].tolist(), window["scored"].astype(bool)
        assert tokens[0] == BOS and BOS not in tokens[1:] and not is_scored[0]
        numbers = {place[token][0] for token in tokens if token >= 10}
        assert len(numbers) <= 1 and len(set(window["document"])) == 1, "documents never mix"
        for at, token in enumerate(tokens):
            if is_scored[at] and token >= 10:
                scored.append(token)
                assert at - 1 >= min(context, place[token][1]), "tokens of its document before it"
                assert window["label"][at] == token % 7, "labels are those of the document"
        ends += sum(token == EOS and is_scored[at] for at, token in enumerate(tokens))
    assert sorted(scored) == list(range(10, 10 + sum(lengths)))
    assert ends == len(lengths)


@pytest.mark.parametrize("lengths", [[2, 2, 4, 1], [6], [1, 1]])
def test_documents_that_fit_stay_as_they_were(lengths):
    before = Packed(numbered(lengths), 8)
    for context in (0, 3, 6):
        after = Windows(before, context)
        assert len(after) == len(before)
        found, expected = after.read(range(len(after))), before.read(range(len(before)))
        for name, column in expected.items():
            np.testing.assert_array_equal(found[name], column, err_msg=name)
        np.testing.assert_array_equal(found["scored"], (expected["segment_ids"] > 0) & (expected["positions"] > 0))


def test_rows_are_read_in_any_order():
    found = Windows(Packed(numbered([30, 2, 17]), 8), 4)
    whole = found.read(range(len(found)))
    wanted = [len(found) - 1, 0, 2]
    for name, column in found.read(wanted).items():
        np.testing.assert_array_equal(column, whole[name][wanted], err_msg=name)


def test_without_context_windows_do_not_overlap():
    assert list(spans(10, 4, 0)) == [(0, 0, 4), (4, 4, 8), (8, 8, 10)]
    assert list(spans(10, 4, 3)) == [(0, 0, 4), (1, 4, 5), (2, 5, 6), (3, 6, 7), (4, 7, 8), (5, 8, 9), (6, 9, 10)]


def test_without_bos_the_first_token_of_a_document_is_not_scored():
    rows = Packed([np.arange(11, 18), np.arange(21, 23)], 5)
    found = Windows(rows, 2, has_bos=False).read(range(4))
    assert sorted(found["tokens"][found["scored"] > 0].tolist()) == [EOS, EOS, 12, 13, 14, 15, 16, 17, 22]
    assert sorted(found["tokens"][found["scored"] == NEVER_PREDICTED].tolist()) == [11, 21]


def test_ids_that_a_network_lacks_are_not_scored():
    found = Windows(Packed([np.arange(11, 15)], 8), 0, lacking={EOS, 12}).read([0])
    assert found["tokens"][found["scored"] > 0].tolist() == [11, 13, 14]
    assert found["tokens"][found["scored"] == NEVER_PREDICTED].tolist() == [12, EOS]
