"""A bit a pair, against the dense mask."""

import numpy as np
import pytest

from hybridlm import masks
from hybridlm.attention.mosaic import words
from hybridlm.facts import tokens

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.integers(1, 5, (2, 128)).cumsum(1) // 20
KEYS = tokens.from_columns(ROWS, np.arange(128)[None] + 0 * ROWS)
QUERIES = tokens.from_columns(ROWS[:1, :64], np.arange(64)[None])
"""One row for all, where the keys have two."""
MASKS = [
    masks.causal() & masks.same_segment(),
    masks.custom(lambda q, k: (q.index - k.index) % 7 == 3) | masks.prefix(5),
    masks.unified(),
    masks.dense(RANDOM.random((64, 128)) < 0.5),
    masks.bidirectional(),
    ~masks.bidirectional(),
]


def unpacked(words_BCR):
    """[B, R, C] of booleans, bit by bit."""
    words_BCR = np.asarray(words_BCR).astype(np.uint32)
    bits = words_BCR[:, :, None] >> np.arange(32, dtype=np.uint32)[:, None] & 1
    B, C, _, R = bits.shape
    return bits.reshape(B, C * 32, R).swapaxes(1, 2).astype(bool)


@pytest.mark.parametrize("mask", MASKS, ids=repr)
def test_a_bit_says_whether_its_query_sees_its_key(mask):
    seen = np.asarray(masks.materialize(mask, QUERIES, KEYS))
    assert seen.shape == (2, 64, 128)
    np.testing.assert_array_equal(unpacked(words.words(mask, QUERIES, KEYS, "q")), seen)
    np.testing.assert_array_equal(unpacked(words.words(mask, QUERIES, KEYS, "k")), seen.swapaxes(1, 2))
