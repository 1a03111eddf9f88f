"""Masks join with masks, are equal by what they say, and need no jax to be built."""

import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from hybridlm import masks
from hybridlm.masks.expressions import canonical


def test_names_are_for_reading_and_bodies_for_equality():
    mask = masks.causal() & masks.window(1023) & masks.same_segment()
    assert repr(mask) == "(causal() & same_segment() & window(left=1023, right=0))"
    assert repr(~masks.causal() | masks.valid()) == "(valid() | ~causal())"
    assert masks.causal() == masks.custom(lambda q, k: ~(k.index > q.index))
    assert masks.padding() == masks.custom(lambda q, k: k.length > k.index)
    assert masks.causal() != masks.window(3)
    assert masks.causal() != "causal"


def test_equal_masks_are_one_key():
    found = {masks.causal() & masks.valid(): 1}
    found[masks.valid() & masks.causal()] = 2
    assert found == {masks.causal() & masks.valid(): 2}


def test_canonical_form_is_canonical():
    mask = ~(masks.unified() | ~masks.block_diffusion())
    assert canonical(mask.canonical) == mask.canonical


def test_a_mask_knows_the_facts_it_reads():
    assert masks.unified().facts == ("block", "segment", "stream", "valid")
    assert (masks.prefix() | masks.custom(lambda q, k: q.depth == 0)).facts == ("depth", "position", "prefix_length")
    assert masks.bidirectional().facts == ()


@pytest.mark.parametrize("join", [lambda m: m and m, lambda m: m or m, lambda m: not m, lambda m: 0 if m else 1])
def test_truth_value_is_refused(join):
    with pytest.raises(
        TypeError, match=re.escape("causal() has no truth value, so Python's and / or / not cannot join")
    ):
        join(masks.causal())


@pytest.mark.parametrize("other", [True, jnp.ones((2, 2), bool), lambda q, k: q.index == k.index])
def test_what_is_no_mask_cannot_be_joined(other):
    text = (
        f"a mask joins with a mask, not with {type(other).__name__}. A function of (q, k) becomes one by masks.custom"
    )
    with pytest.raises(TypeError, match=re.escape(text)):
        masks.causal() & other
    with pytest.raises(TypeError, match=re.escape(text)):
        masks.causal() | other


def test_new_facts_and_equal_masks_do_not_retrace(row):
    traced = []

    def count(mask, facts):
        traced.append(mask)
        return masks.block_map(mask, facts, block_q=4, block_k=4)

    compiled = jax.jit(count, static_argnums=0)
    for lengths, prefix in ([8, 4], [2, 1]), ([3, 9], [0, 5]), ([1, 1], [1, 1]):
        mask = (masks.causal() | masks.prefix()) & masks.same_segment() & masks.valid()
        compiled(mask, row(lengths, T=12, prefix_length=prefix))
        compiled(
            masks.valid() & (masks.prefix() | masks.causal()) & masks.same_segment(),
            row([12, 0], T=12, prefix_length=prefix),
        )
    assert len(traced) == 1
    compiled(masks.causal(), row([12], T=12, prefix_length=[3]))
    assert len(traced) == 2


def test_building_and_storing_a_mask_imports_no_jax():
    program = """
import sys
from hybridlm import masks
mask = masks.unified() | masks.custom(lambda q, k: q.depth == k.depth) & ~masks.dense([[True]])
assert masks.from_json(masks.to_json(mask)) == mask
assert not {"jax", "flax"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_unknown_name():
    with pytest.raises(AttributeError, match=r"hybridlm\.masks has no 'sliding'"):
        masks.sliding  # noqa: B018
