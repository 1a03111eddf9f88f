import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridlm.data import packing

PAD, BOS, EOS = 0, 1, 2


def packed(lengths, row_length, **further):
    """Rows of documents whose tokens are 100, 101, ... over all of them."""
    lengths_N = np.array(lengths, np.int64)
    per_token = {"tokens": 100 + np.arange(lengths_N.sum()), **further}
    per_document = {"document": 7 + np.arange(len(lengths))}
    begins_N = np.cumsum(lengths_N) - lengths_N
    pieces = packing.plan(lengths_N, row_length)
    return pieces, packing.fill(pieces, row_length, per_token, per_document, begins_N, pad=PAD, bos=BOS, eos=EOS)


def test_a_picture():
    _, rows = packed([3, 9, 1], 8, depth=np.arange(13) + 1)
    assert rows["tokens"].tolist() == [
        [BOS, 100, 101, 102, EOS, BOS, 103, 104],
        [BOS, 105, 106, 107, 108, 109, 110, PAD],  # the last token waits for the EOS
        [BOS, 111, EOS, BOS, 112, EOS, PAD, PAD],
    ]
    assert rows["segment_ids"].tolist() == [
        [1, 1, 1, 1, 1, 2, 2, 2],
        [1, 1, 1, 1, 1, 1, 1, 0],
        [1, 1, 1, 2, 2, 2, 0, 0],
    ]
    assert rows["positions"].tolist() == [[0, 1, 2, 3, 4, 0, 1, 2], [0, 1, 2, 3, 4, 5, 6, 0], [0, 1, 2, 0, 1, 2, 0, 0]]
    assert rows["document"].tolist() == [[7, 7, 7, 7, 7, 8, 8, 8], [8, 8, 8, 8, 8, 8, 8, 0], [8, 8, 8, 9, 9, 9, 0, 0]]
    assert rows["depth"].tolist() == [[0, 1, 2, 3, 0, 0, 4, 5], [0, 6, 7, 8, 9, 10, 11, 0], [0, 12, 0, 0, 13, 0, 0, 0]]


lengths_of_documents = st.lists(st.integers(1, 60), min_size=1, max_size=30)


@settings(max_examples=60)
@given(lengths_of_documents, st.integers(8, 24))
def test_every_token_of_text_is_kept_in_order_and_framed(lengths, row_length):
    _, rows = packed(lengths, row_length)
    text = rows["tokens"][rows["tokens"] >= 100]
    assert text.tolist() == list(range(100, 100 + sum(lengths)))
    used = rows["segment_ids"] > 0
    assert np.array_equal(rows["tokens"] == BOS, used & (rows["positions"] == 0)), (
        "a piece opens with BOS, and only there"
    )
    assert (rows["tokens"] == EOS).sum() == len(lengths)
    for number, length in enumerate(lengths):
        own = rows["tokens"][rows["document"] == 7 + number]
        assert own[-1] == EOS and (own >= 100).sum() == length
    assert np.array_equal(rows["tokens"] == PAD, ~used)


@settings(max_examples=40)
@given(lengths_of_documents, st.integers(8, 24))
def test_rows_are_full_but_for_room_too_small_for_a_piece(lengths, row_length):
    pieces, rows = packed(lengths, row_length)
    padding_B = (rows["segment_ids"] == 0).sum(axis=1)
    assert (padding_B[:-1] < packing.SMALLEST_PIECE).all()
    assert (pieces.length_P >= 1).all(), "no piece holds specials alone"
    assert np.array_equal(np.sort(rows["segment_ids"], axis=1)[:, ::-1] == 0, rows["segment_ids"] == 0), (
        "padding is last"
    )


@pytest.mark.parametrize("row_length", [128, 1024])
def test_real_lengths_fill_rows_to_98_per_cent(row_length):
    lengths = np.random.default_rng(0).lognormal(4.5, 1.2, 2_000).astype(int) + 1
    pieces = packing.plan(lengths, row_length)
    used = len(pieces.row_P) + lengths.sum() + len(lengths)
    assert used / (pieces.rows * row_length) >= 0.98


@settings(max_examples=20)
@given(lengths_of_documents, st.integers(8, 24), st.integers(1, 5))
def test_rows_filled_in_blocks_are_the_same_rows(lengths, row_length, step):
    pieces, rows = packed(lengths, row_length)
    lengths_N = np.array(lengths)
    arguments = (
        {"tokens": 100 + np.arange(sum(lengths))},
        {"document": 7 + np.arange(len(lengths))},
        np.cumsum(lengths_N) - lengths_N,
    )
    parts = [pieces.between(first, min(first + step, pieces.rows)) for first in range(0, pieces.rows, step)]
    blocks = [packing.fill(part, row_length, *arguments, pad=PAD, bos=BOS, eos=EOS) for part in parts]
    for name, whole in rows.items():
        assert np.array_equal(np.concatenate([block[name] for block in blocks]), whole)
