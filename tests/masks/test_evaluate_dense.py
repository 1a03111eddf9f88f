"""Masks on numbers: queries and keys may be different tokens, and tokens must carry what a mask reads."""

import re
import types

import jax
import numpy as np
import pytest

from hybridlm import masks
from hybridlm.facts import tokens
from hybridlm.facts.names import LIMIT

block_map = jax.jit(masks.block_map, static_argnums=0, static_argnames=("block_q", "block_k"))


def test_a_query_at_an_offset_sees_what_the_row_of_the_full_matrix_says(row):
    mask = masks.causal() & masks.window(3)
    full = np.asarray(masks.materialize(mask, row([6], T=6)))
    query, cache = tokens.one_document(1, offset=5), row([6], T=6)
    np.testing.assert_array_equal(masks.materialize(mask, query, cache)[0], full[0, 5:])
    assert block_map(mask, query, cache, block_q=1, block_k=2).tolist() == [[[0, 2, 2]]]


def test_facts_of_one_row_serve_all_rows(row):
    keys = tokens.concatenate([row([6], T=6), row([4], T=6)], axis=0)
    sees = np.asarray(masks.materialize(masks.causal() & masks.valid(), row([6], T=6), keys))
    np.testing.assert_array_equal(sees[0], np.tri(6))
    np.testing.assert_array_equal(sees[1], np.tri(6) * (np.arange(6) < 4))


def test_a_tile_is_the_tile_of_the_matrix(row):
    facts = row([4, 2], T=6, block=2)
    full = np.asarray(masks.materialize(masks.unified(), facts))[0]
    columns = tokens.as_dict(facts)
    q = types.SimpleNamespace(**{name: column[0, 2:5, None] for name, column in columns.items()})
    k = types.SimpleNamespace(**{name: column[0, None, 1:] for name, column in columns.items()})
    np.testing.assert_array_equal(masks.evaluate(masks.unified(), q, k), full[2:5, 1:])


@pytest.mark.parametrize("evaluate", [masks.materialize, masks.block_map, masks.computed_fraction])
def test_a_fact_the_tokens_lack_is_named(evaluate, row):
    mask = masks.prefix() & masks.custom(lambda q, k: q.dept == k.postion)
    text = (
        f"mask {mask!r} reads dept (did you mean depth?), postion (did you mean position?), prefix_length, but the "
        "tokens carry position, index, segment, block, stream, valid, depth. Any integer column of the batch can be a "
        "fact: add it to the batch under that name; in a run, name a family of labels in data.labels."
    )
    with pytest.raises(ValueError) as refused:
        evaluate(mask, row([6], T=6, depth=[0]))
    assert str(refused.value) == text
    with pytest.raises(ValueError, match=re.escape("add it to the batch under that name")):
        evaluate(masks.custom(lambda q, k: q.shape == 0), row([6], T=6))


@pytest.mark.parametrize("evaluate", [masks.materialize, masks.block_map])
def test_a_dense_array_fits_its_own_length_only(evaluate, row):
    mask = masks.causal() & ~masks.dense(np.ones((4, 6), bool))
    with pytest.raises(ValueError, match=re.escape("array of shape (4, 6), but there are 6 queries and 6 keys")):
        evaluate(mask, row([6], T=6))


def test_values_that_could_overflow_are_refused_on_the_host(row):
    tokens.check_range(row([6], T=6, depth=[LIMIT - 1]))
    for value in (LIMIT, -LIMIT):
        with pytest.raises(ValueError, match=re.escape("fact 'depth' must stay strictly within ±536870912 (2**29)")):
            tokens.check_range(row([6], T=6, depth=[value]))


def test_the_largest_facts_do_not_overflow(row):
    facts = row([2], T=2, depth=[LIMIT - 1, 1 - LIMIT])
    far = masks.custom(lambda q, k: (q.depth - k.depth) * 2 > 0)
    np.testing.assert_array_equal(masks.materialize(far, facts)[0], [[False, True], [False, False]])
    assert block_map(far, facts, block_q=1, block_k=1)[0].tolist() == [[0, 2], [0, 0]]
    even = masks.custom(lambda q, k: (q.depth - k.depth) * 2 % 7 == 0)
    np.testing.assert_array_equal(masks.materialize(even, facts)[0], np.eye(2))
    assert block_map(even, facts, block_q=2, block_k=2)[0].tolist() == [[1]]
