"""Masks as JSON: every kind comes back, nothing else is taken, and no Python is stored."""

import json
import re

import numpy as np
import pytest

from hybridlm import masks

ARRAY = np.random.default_rng(0).random((5, 7)) < 0.5


@pytest.mark.parametrize(
    "mask",
    [
        masks.causal() & masks.window(3, 2) & masks.same_segment() & masks.valid(),
        (masks.causal() | masks.prefix(4) | masks.prefix()) & ~masks.padding(),
        masks.block_diffusion() | masks.unified() | masks.chunk(3) | masks.strided(4) | masks.block_causal(2),
        masks.custom(lambda q, k: (abs(q.index - k.index) % 3 == 0) ^ (q.depth * -2 + 1 < k.depth // 5)),
        masks.dense(ARRAY) & ~masks.dense(~ARRAY) | masks.bidirectional(),
    ],
    ids=repr,
)
def test_round_trip(mask):
    back = masks.from_json(json.loads(json.dumps(masks.to_json(mask))))
    assert back == mask
    assert repr(back) == repr(mask)


def test_what_is_stored_can_be_read():
    body = ["<=", ["fact", "k", "index"], ["fact", "q", "index"]]
    assert masks.to_json(masks.causal()) == ["named", "causal", {}, body]


def test_a_stored_array_is_the_array():
    back = masks.from_json(masks.to_json(masks.dense(ARRAY)))
    np.testing.assert_array_equal(back.expression.array, ARRAY)


def test_a_function_is_not_stored():
    with pytest.raises(ValueError, match=re.escape("masks.dense(function) cannot be stored, because its Python")):
        masks.to_json(masks.causal() & masks.dense(lambda q, k: q.index == k.index))


Q = ["fact", "q", "index"]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (["xor", ["always", True], ["always", True]], "['xor', ['always', True], ['always', True]] is not a condition"),
        ("causal", "'causal' is not a condition"),
        (None, "None is not a condition"),
        (Q, "['fact', 'q', 'index'] is not a condition"),
        (["and", ["always", True]], "is not a condition"),
        (["<", ["always", True], 3], "['always', True] is not an integer term"),
        (["<", ["fact", "x", "index"], 3], "['fact', 'x', 'index'] is not an integer term"),
        (["<", Q, True], "True is not an integer term"),
        (["<", ["*", Q, Q], 3], "is not an integer term"),
        (["<", ["//", Q, 0], 3], "['//', ['fact', 'q', 'index'], 0] is not an integer term"),
        (["<", ["+", ["*", Q, 3], ["*", Q, 3]], 3], "beyond int32"),
        (["<", Q, 2**40], "beyond int32"),
        (["dense", [100, 100], masks.to_json(masks.dense(ARRAY))[2]], "5 bytes cannot hold 100 x 100 bits"),
        (["dense", [5, 7], "AAAA"], "while decompressing data"),
    ],
)
def test_anything_else_is_refused(data, text):
    with pytest.raises(ValueError, match=r"^not a stored mask: .*" + re.escape(text)):
        masks.from_json(data)
