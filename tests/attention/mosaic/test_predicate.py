"""The mask's expression as the kernels read it."""

import numpy as np
import pytest

from hybridlm import masks
from hybridlm.attention.mosaic import predicate
from hybridlm.facts import tokens
from hybridlm.masks.expressions import Not, walk

FACTS = tokens.from_columns(np.repeat([1, 2, 0], (3, 4, 1))[None], np.arange(8)[None])


@pytest.mark.parametrize(
    "mask",
    [
        ~masks.same_segment(),
        masks.causal() & ~masks.custom(lambda q, k: (q.index - k.index) % 3 == 1),
        ~masks.strided(3),
        masks.window(2, 1) | ~(masks.same_segment() & masks.valid()),
    ],
    ids=repr,
)
def test_a_mask_as_tiles_take_it_shows_the_same(mask):
    assert any(isinstance(node, Not) for node in walk(mask.canonical))
    written = predicate.written(mask.canonical)
    assert not any(isinstance(node, Not) for node in walk(written))
    np.testing.assert_array_equal(masks.materialize(masks.Mask(written), FACTS), masks.materialize(mask, FACTS))


@pytest.mark.parametrize("step", [1, 3, 4])
def test_a_remainder_of_a_difference_is_a_column_of_each_side(step):
    """So that a pair costs one comparison."""
    mask = masks.custom(lambda q, k: (q.position - k.index) % step == 0)
    written = predicate.written(mask.canonical)
    np.testing.assert_array_equal(masks.materialize(masks.Mask(written), FACTS), masks.materialize(mask, FACTS))
    assert predicate.names(mask, "q") == (f"(q.position % {step})",)
    assert predicate.names(mask, "k") == (f"(k.index % {step})",)
    np.testing.assert_array_equal(predicate.columns(mask, "k", FACTS), [np.arange(8)[None] % step])


def test_terms_of_one_side_are_columns():
    mask = masks.custom(lambda q, k: (abs(q.index - 2 * q.segment) < k.index) & (q.index - k.index < 3))
    assert predicate.names(mask, "q") == ("abs((q.index - (q.segment * 2)))", "index")
    assert predicate.names(mask, "k") == ("index",)
    np.testing.assert_array_equal(predicate.columns(mask, "q", FACTS)[0], abs(FACTS.index - 2 * FACTS.segment))


def test_each_side_s_facts_are_named_once_and_in_order():
    mask = masks.causal() & masks.custom(lambda q, k: (q.segment == k.segment) & (k.valid == 1))
    assert predicate.names(mask, "q") == ("index", "segment")
    assert predicate.names(mask, "k") == ("index", "segment", "valid")
