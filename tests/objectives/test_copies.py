"""Versions of a text, as pictures: M masked, ? masked and predicted, in a batch of packed documents."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.attention import dense
from hybridlm.config.objective import block_diffusion, masked_diffusion, masked_lm, shared_ar_diffusion, windowed_blocks
from hybridlm.masks import materialize
from hybridlm.objectives import copies
from hybridlm.objectives.text import Ids, from_batch
from tests.objectives.conftest import pack

MASK = 1
IDS = Ids(mask=MASK, never=(0, 1, 2), size=40)
TEXT = from_batch({name: jnp.asarray(x) for name, x in pack([[5, 2]], 8).items()})
BLOCKS, WHOLE = block_diffusion(3), masked_diffusion()


def picture(versions):
    """One line per version: B for BOS, · for padding, the block's tokens in place."""
    lines = []
    for k in range(versions.count):
        is_masked, weight = (np.asarray(x)[0] for x in versions.of(jnp.array(k)))
        signs = np.where(weight != 0, "?", np.where(is_masked, "M", "x"))
        signs = np.where(np.asarray(TEXT.position_BT)[0] == 0, "B", signs)
        lines.append("".join(np.where(np.asarray(TEXT.segment_BT)[0] > 0, signs, "·")))
    return lines


def test_a_chain_of_blocks_reveals_them_from_the_left():
    assert picture(copies.chain(BLOCKS, TEXT)) == ["BMM?MBM·", "B?Mx?B?·", "Bx?xxBx·"]


def test_a_chain_of_documents_reveals_them_from_the_left():
    assert picture(copies.chain(WHOLE, TEXT))[:5] == ["BMMMMBM·", "B?MMMB?·", "Bx?MMBx·", "Bxx?MBx·", "Bxxx?Bx·"]


def test_leave_one_out_masks_one_token_and_the_rest_of_its_word():
    goes_on = jnp.array([[0, 0, 1, 1, 0, 0, 0, 0]], bool)
    found = picture(copies.leave_one_out(WHOLE, TEXT, goes_on))
    assert found[:5] == ["BxxxxBx·", "B?MMxB?·", "Bx?MxBx·", "Bxx?xBx·", "Bxxx?Bx·"]


def test_a_word_that_goes_on_into_the_next_block_begins_anew_there():
    goes_on = jnp.array([[0, 0, 1, 1, 1, 0, 0, 0]], bool)
    found = picture(copies.leave_one_out(BLOCKS, TEXT, goes_on))
    assert found == ["Bxx?MBx·", "B?Mx?B?·", "Bx?xxBx·"]


def test_every_set_of_places_of_a_block_is_masked_in_turn():
    found = picture(copies.subsets(BLOCKS, TEXT))
    assert found == ["Bxx?xBx·", "B?xx?B?·", "B?x??B?·", "Bx?xxBx·", "Bx??xBx·", "B??x?B?·", "B????B?·"]
    assert copies.targets_of_block(BLOCKS, TEXT)[0, :7].tolist() == [0b110] * 3 + [0b011] * 2 + [0b010] * 2


@pytest.mark.parametrize(
    ("objective", "asked", "length", "expected"),
    [(BLOCKS, 0, 64, 3), (BLOCKS, 0, 8192, 1), (BLOCKS, 7, 64, 5), (BLOCKS, 99, 64, 15), (WHOLE, 0, 256, 8)],
)
def test_versions_are_spread_evenly_over_passes(objective, asked, length, expected):
    """Of 15: a clean stream takes few copies beside it, and rows as many as make a wide pass."""
    assert copies.per_pass(objective, asked, 15, length) == expected


def of_versions(objective, versions, count=2):
    is_masked_KBT, weight_KBT = jax.vmap(versions.of)(jnp.arange(count) + 1)
    return copies.build(objective, TEXT, IDS, is_masked_KBT, weight_KBT)


def test_noisy_copies_stand_beside_one_clean_stream():
    found = of_versions(BLOCKS, copies.chain(BLOCKS, TEXT))
    text = TEXT.tokens_BT[0].tolist()
    assert found.inputs_BT.shape == (1, 24)
    assert found.inputs_BT[0, :8].tolist() == text
    assert (found.inputs_BT[0, 8:16] == MASK).astype(int).tolist() == [0, 1, 1, 0, 1, 0, 1, 0]
    assert (found.inputs_BT[0, 16:] == MASK).astype(int).tolist() == [0, 0, 1, 0, 0, 0, 0, 0]
    assert found.target_index_BT[0].tolist() == [-1] * 8 + [-1, 1, -1, -1, 4, -1, 6, -1] + [
        -1,
        -1,
        2,
        -1,
        -1,
        -1,
        -1,
        -1,
    ]
    predicts = found.target_index_BT[0] >= 0
    assert found.targets_BT[0, predicts].tolist() == [text[1], text[4], text[6], text[2]]
    assert found.facts.stream[0].tolist() == [0] * 8 + [1] * 8 + [2] * 8
    np.testing.assert_allclose(found.noise_BT[0, 8:14], [1, 1, 1, 0.5, 0.5, 1])


def test_versions_of_whole_documents_are_rows():
    found = of_versions(dataclasses.replace(WHOLE, predicts="next"), copies.chain(WHOLE, TEXT))
    assert (found.inputs_BT == MASK).astype(int).tolist() == [[0, 1, 1, 1, 1, 0, 1, 0], [0, 0, 1, 1, 1, 0, 0, 0]]
    assert found.target_index_BT.tolist() == [[1, -1, -1, -1, -1, 6, -1, -1], [-1, 2, -1, -1, -1, -1, -1, -1]]
    assert found.facts.stream.max() == 0
    fixed = of_versions(masked_lm(0.3), copies.chain(WHOLE, TEXT))
    np.testing.assert_allclose(fixed.noise_BT, 0.3), "its training masks always as many"


def test_a_noisy_token_sees_its_own_copy_of_its_block_and_the_clean_blocks_before_it():
    found = of_versions(BLOCKS, copies.chain(BLOCKS, TEXT))
    sees = np.asarray(materialize(found.mask, found.facts))[0].reshape(3, 8, 3, 8)
    assert not sees[1, :, 2].any() and not sees[2, :, 1].any(), "copies do not see each other"
    assert not sees[0, :, 1:].any(), "clean tokens see no noise"
    assert sees[1, 4, 0].astype(int).tolist() == [1, 1, 1, 0, 0, 0, 0, 0]
    assert sees[1, 4, 1].astype(int).tolist() == [0, 0, 0, 1, 1, 0, 0, 0]
    assert sees[2, 6, 0].sum() == 0 and sees[2, 6, 2].astype(int).tolist() == [0, 0, 0, 0, 0, 1, 1, 0]


def test_a_causal_clean_stream_stays_causal():
    """One network, two modes: its noisy blocks see what an autoregressive cache holds."""
    shared = shared_ar_diffusion(3)
    found = of_versions(shared, copies.chain(shared, TEXT))
    sees = np.asarray(materialize(found.mask, found.facts))[0].reshape(3, 8, 3, 8)
    assert sees[0, 1, 0].astype(int).tolist() == [1, 1, 0, 0, 0, 0, 0, 0]
    assert sees[1, 4, 0].astype(int).tolist() == [1, 1, 1, 0, 0, 0, 0, 0]
    assert sees[1, 4, 1].astype(int).tolist() == [0, 0, 0, 1, 1, 0, 0, 0]
    assert not sees[1, :, 2].any() and not sees[0, :, 1:].any()


def test_blocks_with_a_window_and_one_stream_are_read_beside_a_clean_one():
    windowed = windowed_blocks(3, left=2)
    found = of_versions(windowed, copies.chain(windowed, TEXT))
    sees = np.asarray(materialize(found.mask, found.facts))[0].reshape(3, 8, 3, 8)
    assert sees[1, 4, 0].astype(int).tolist() == [0, 0, 1, 0, 0, 0, 0, 0]
    assert sees[1, 4, 1].astype(int).tolist() == [0, 0, 0, 1, 1, 0, 0, 0]


def test_no_gradient_flows_from_one_copy_to_another():
    found = of_versions(BLOCKS, copies.chain(BLOCKS, TEXT))
    sees_BTS = materialize(found.mask, found.facts)
    values_TD = jax.random.normal(jax.random.key(0), (24, 4))

    def of_copy(x_TD, number):
        seen_BTHK = dense.attend(sees_BTS, *[x_TD[None, :, None]] * 3, scale=1.0)
        return (seen_BTHK.reshape(3, 8, 4)[number] ** 2).sum()

    one, other = (jax.grad(of_copy)(values_TD, number).reshape(3, 8, 4) for number in (1, 2))
    assert not one[2].any() and not other[1].any()
    assert one[0].any() and one[1].any()
