"""Blocks are classified as brute force would classify them, wherever facts are monotone along a stream."""

import jax
import numpy as np
import pytest

from hybridlm import masks
from hybridlm.facts.tokens import one_document

T = 48
DOCUMENTS = [17, 13, 1, 12]  # and five tokens of padding
PREFIXES = [9, 13, 1, 0]
WITHIN = masks.same_segment() & masks.valid()

EXACT = {
    "bidirectional": (masks.bidirectional(), {"lengths": [T]}),
    "causal": (masks.causal(), {"lengths": [T]}),
    "window": (masks.window(11, 5), {"lengths": [T]}),
    "causal window": (masks.causal() & masks.window(9), {"lengths": [T]}),
    "prefix": (masks.causal() | masks.prefix(21), {"lengths": [T]}),
    "padding": (masks.causal() & masks.padding(), {"lengths": [31], "length": [31] * T}),
    "chunk": (masks.chunk(10), {"lengths": [T]}),
    "strided": (masks.strided(3), {"lengths": [T]}),
    "band": (masks.custom(lambda q, k: abs(q.index - k.index) < 6), {"lengths": [T]}),
    "all but itself": (masks.custom(lambda q, k: abs(q.index - k.index) != 0), {"lengths": [T]}),
    "packed": (masks.causal() & WITHIN, {"lengths": DOCUMENTS}),
    "packed, both directions": (WITHIN, {"lengths": DOCUMENTS}),
    "block causal": (masks.block_causal(), {"lengths": DOCUMENTS, "block": 5}),
    "block causal, packed": (masks.block_causal() & WITHIN, {"lengths": DOCUMENTS, "block": 5}),
    "two streams": (masks.block_diffusion(), {"lengths": [T], "block": 5, "streams": 2}),
    "unified causal": (masks.unified(), {"lengths": [T]}),
    "unified packed": (masks.unified(), {"lengths": DOCUMENTS}),
    "unified bidirectional": (masks.unified(), {"lengths": DOCUMENTS, "block": T}),
    "unified prefix-LM": (masks.unified(), {"lengths": DOCUMENTS, "prefixes": PREFIXES}),
    "unified two streams": (masks.unified(), {"lengths": [T], "block": 5, "streams": 2}),
    "unified three streams": (masks.unified(), {"lengths": [T], "block": 6, "streams": 3}),
}
BLOCKS = [(8, 8), (12, 7)]
materialize = jax.jit(masks.materialize, static_argnums=0)
block_map = jax.jit(masks.block_map, static_argnums=0, static_argnames=("block_q", "block_k"))


def brute_force(matrix, block_q, block_k):
    tiles = [
        [matrix[i : i + block_q, j : j + block_k] for j in range(0, matrix.shape[1], block_k)]
        for i in range(0, matrix.shape[0], block_q)
    ]
    return np.array([[2 if tile.all() else int(tile.any()) for tile in line] for line in tiles])


@pytest.mark.parametrize("name", EXACT)
def test_exact(name, row):
    mask, options = EXACT[name]
    prefixes = options.get("prefixes")
    if prefixes:
        position, start = row(DOCUMENTS, T=T).position[0], np.repeat([0, 17, 30, 31, 43], [*DOCUMENTS, 5])
        ids = start + np.maximum(0, position - np.repeat([*PREFIXES, 0], [*DOCUMENTS, 5]) + 1)
        options = {"lengths": DOCUMENTS, "block_ids": ids}
    facts = row(T=T, **options)
    matrix = np.asarray(materialize(mask, facts))[0]
    for block_q, block_k in BLOCKS:
        found = block_map(mask, facts, block_q=block_q, block_k=block_k)[0]
        np.testing.assert_array_equal(found, brute_force(matrix, block_q, block_k))


@pytest.mark.parametrize("side", ["block_q", "block_k"])
def test_a_block_of_no_tokens_is_refused(side):
    with pytest.raises(ValueError, match=f"^{side}=0 must be at least 1: it is the tokens of a block; kernels take 64"):
        masks.block_map(masks.causal(), one_document(8), **{side: 0})
