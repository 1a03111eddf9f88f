"""Block ids as pictures: one line per layout, the row of the text above them."""

import jax
import numpy as np
import pytest

from hybridlm import masks
from hybridlm.config.objective import (
    autoregressive,
    block_diffusion,
    eso_lm,
    masked_diffusion,
    prefix_lm,
    shared_ar_diffusion,
    span_corruption,
    windowed_blocks,
)
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
        (windowed_blocks(2, 3), "0 0 1 1 2 3 3 4 4 5 5"),
        (shared_ar_diffusion(2), "0 0 2 2 4 5 5 7 7 9 9"),
        (eso_lm(), "0 1 2 3 4 5 6 7 8 9 10"),
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


def test_clean_tokens_beside_noisy_blocks_are_blocks_of_their_own_where_they_are_causal(text):
    def clean(objective):
        blocks_BT = layouts.blocks(objective, text, text.tokens_BT * 0)
        return np.asarray(layouts.clean_blocks(objective, text, blocks_BT))[0, :11].tolist()

    assert clean(block_diffusion(2)) == [0, 0, 1, 1, 2, 3, 3, 4, 4, 5, 5]
    assert clean(shared_ar_diffusion(2)) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize(
    ("objective", "mask"),
    [
        (autoregressive(across_documents=True), masks.causal()),
        (autoregressive(), masks.causal() & masks.same_segment() & masks.valid()),
        (prefix_lm(), (masks.causal() | masks.prefix()) & masks.same_segment() & masks.valid()),
        (masked_diffusion(), masks.bidirectional() & masks.same_segment() & masks.valid()),
        (block_diffusion(2), masks.block_diffusion() & masks.same_segment() & masks.valid()),
        (block_diffusion(2, streams=1), masks.block_causal() & masks.same_segment() & masks.valid()),
        (eso_lm(), masks.block_diffusion() & masks.same_segment() & masks.valid()),
        (span_corruption(), (masks.causal() | masks.prefix()) & masks.same_segment() & masks.valid()),
        (
            autoregressive(window=(7, 0)),
            masks.causal() & masks.same_segment() & masks.valid() & masks.window(7),
        ),
        (autoregressive(window=(7, 0), across_documents=True), masks.causal() & masks.window(7)),
    ],
)
def test_pure_objectives_keep_the_mask_people_know_by_name(objective, mask):
    assert layouts.mask(objective) == mask
