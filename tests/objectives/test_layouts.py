"""Block ids as pictures: one line per layout, the row of the text above them."""

import jax
import numpy as np
import pytest

from hybridlm import masks
from hybridlm.config.objective import autoregressive, block_diffusion, masked_diffusion, prefix_lm
from hybridlm.objectives import layouts


@pytest.mark.parametrize(
    ("objective", "picture"),
    [
        # documents        aaaaabbcccc.
        (autoregressive(), "0 1 2 3 4 5 6 7 8 9 10"),
        (prefix_lm(0.0, 0.0), "0 1 2 3 4 5 6 7 8 9 10"),
        (prefix_lm(0.5, 0.5), "0 0 1 2 3 5 6 7 7 8 9"),
        (masked_diffusion(), "0 0 0 0 0 5 5 7 7 7 7"),
        (block_diffusion(2), "0 0 1 1 2 3 3 4 4 5 5"),
        (block_diffusion(4), "0 0 0 0 1 2 2 3 3 3 3"),
    ],
)
def test_pictures_of_blocks(objective, picture, text):
    prefix_BT = layouts.prefix_lengths(objective, text, jax.random.key(0))
    wanted = [int(number) for number in picture.split()]
    assert np.asarray(layouts.blocks(objective, text, prefix_BT))[0, :11].tolist() == wanted


def test_a_prefix_is_counted_in_tokens_of_its_own_document(text):
    prefix_BT = layouts.prefix_lengths(prefix_lm(0.5, 0.5), text, jax.random.key(0))
    assert np.asarray(prefix_BT)[0, :11].tolist() == [2] * 5 + [1] * 2 + [2] * 4
    assert np.asarray(prefix_BT)[1].tolist() == [6] * 12


@pytest.mark.parametrize(
    ("objective", "mask"),
    [
        (autoregressive(across_documents=True), masks.causal()),
        (autoregressive(), masks.causal() & masks.same_segment() & masks.valid()),
        (prefix_lm(), (masks.causal() | masks.prefix()) & masks.same_segment() & masks.valid()),
        (masked_diffusion(), masks.bidirectional() & masks.same_segment() & masks.valid()),
        (block_diffusion(2), masks.block_diffusion() & masks.same_segment() & masks.valid()),
        (block_diffusion(2, streams=1), masks.block_causal() & masks.same_segment() & masks.valid()),
    ],
)
def test_pure_objectives_keep_the_mask_people_know_by_name(objective, mask):
    assert layouts.mask(objective) == mask
