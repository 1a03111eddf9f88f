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
        masks.window(2, 1) | ~(masks.same_segment() & masks.valid()),
    ],
    ids=repr,
)
def test_a_mask_written_without_not_shows_the_same(mask):
    assert any(isinstance(node, Not) for node in walk(mask.canonical))
    written = predicate._without_not(mask.canonical)
    assert not any(isinstance(node, Not) for node in walk(written))
    np.testing.assert_array_equal(masks.materialize(masks.Mask(written), FACTS), masks.materialize(mask, FACTS))


def test_each_side_s_facts_are_named_once_and_in_order():
    mask = masks.causal() & masks.custom(lambda q, k: (q.segment == k.segment) & (k.valid == 1))
    assert predicate.names(mask, "q") == ("index", "segment")
    assert predicate.names(mask, "k") == ("index", "segment", "valid")
