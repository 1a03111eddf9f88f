"""Texts in random order: what a pass sees through the cache is what training showed, and the order has its law."""

import collections
import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm import masks
from hybridlm.config.objective import eso_lm
from hybridlm.config.sampling import GREEDY, SamplingConfig
from hybridlm.facts.tokens import concatenate, from_columns
from hybridlm.sampling import samplers, streaming
from hybridlm.sampling.predictions import of_network
from hybridlm.sampling.random_order import Plan, orders, planned
from hybridlm.sampling.samplers import Trained
from hybridlm.sampling.written import NO_EOS
from tests.objectives.test_arrangements import orders as orders_of_training

MASK, PROMPTS, TOKENS = 16, [[1, 5, 9, 2, 6], [1, 3, 5]], 8
SEES = masks.block_diffusion() & masks.same_segment() & masks.valid()


def write(network, alpha_0, steps=None, *, prompts=PROMPTS, eos=NO_EOS):
    """The last state."""
    trained = Trained(objectives={"eso": eso_lm(alpha_0)}, mask_id=MASK, eos=eos, size=17, never=(MASK,))
    config = SamplingConfig(sampler="eso_lm", tokens=TOKENS, steps=steps, choice=GREEDY)
    keys = streaming.row_keys(0, len(prompts))
    return streaming.write(samplers.make(config, trained), network, prompts, keys, lambda new: [False for _ in new])


@pytest.mark.parametrize(
    ("alpha_0", "steps", "plan"),
    [
        (0.5, None, (4, 1, 4)),
        (0.5, 2, (2, 2, 4)),
        (1.0, 1, (1, 8, 0)),
        (1.0, 3, (2, 3, 2)),  # 8 are no whole passes of 3
        (0.01, None, (0, 1, 8)),
    ],
)
def test_plans(alpha_0, steps, plan):
    assert planned(TOKENS, alpha_0, steps) == Plan(alpha_0, *plan)


@pytest.mark.parametrize("alpha_0", [0.125, 0.5, 1.0])
def test_one_token_a_pass_orders_have_the_law_of_training(alpha_0):
    """So a text has the law whose likelihood the bound is of: how many come first is left to chance, too."""
    rows = 4000
    drawn_BN = orders(streaming.row_keys(0, rows), planned(3, alpha_0, None))
    drawn = collections.Counter(map(tuple, np.asarray(drawn_BN).tolist()))
    for order, p in orders_of_training(alpha_0).items():
        assert abs(drawn[order] / rows - p) < 4 * np.sqrt(p * (1 - p) / rows)


def test_a_share_comes_first_in_an_order_of_each_rows_own_and_the_others_left_to_right():
    """Two a pass: half of the eight tokens first."""
    order_BN = np.asarray(orders(streaming.row_keys(0, 400), planned(TOKENS, 0.5, 2)))
    np.testing.assert_array_equal(np.sort(order_BN, axis=1), np.tile(np.arange(TOKENS), (400, 1)))
    assert (np.diff(order_BN[:, 4:]) > 0).all(), "the rest rises"
    assert np.isclose((np.diff(order_BN[:, :4]) > 0).mean(), 0.5, atol=0.06), "the first part does not"
    first_BN = (np.argsort(order_BN, axis=1) < 4).mean(0)
    np.testing.assert_allclose(first_BN, 0.5, atol=0.09, err_msg="any token is in it alike")


def two_streams(state, prompt):
    """The finished text in the order of writing, as training shows it: clean, and beside it all masked."""
    (order_N,), (ids_N,), P = np.asarray(state.order_BN), np.asarray(state.new_BN), len(prompt)
    position_1T = np.array([[*range(P), *(P + order_N)]])
    clean = from_columns(np.ones_like(position_1T), position_1T)
    noisy = dataclasses.replace(clean, stream=jnp.ones_like(clean.stream))
    tokens_1T = jnp.array([[*prompt, *ids_N, *[MASK] * (P + TOKENS)]])
    return tokens_1T, concatenate([clean, noisy], axis=1)


@pytest.mark.parametrize("alpha_0", [0.5, 1.0])
def test_every_token_is_the_likeliest_in_one_pass_over_two_streams(small, alpha_0):
    network = small(time_conditioning=True)
    state = write(network, alpha_0, prompts=PROMPTS[:1])
    tokens_1T, facts = two_streams(state, PROMPTS[0])
    logits_1TV = of_network(network, SEES)(tokens_1T, facts, (tokens_1T == MASK).astype(jnp.float32))
    likeliest_N = np.asarray(logits_1TV)[0, -TOKENS:, :MASK].argmax(-1)
    np.testing.assert_array_equal(state.new_BN[0], likeliest_N)


def test_tokens_of_one_pass_do_not_see_each_other(small):
    """All at once, each is what it would be if it were the first to be written."""
    network = small(layers=1)
    together = write(network, 1.0, 1, prompts=PROMPTS[:1])
    P = len(PROMPTS[0])
    for place, token in zip(np.asarray(together.order_BN)[0], np.asarray(together.new_BN)[0], strict=True):
        position_1T = np.array([[*range(P), P + place]])
        facts = from_columns(np.ones_like(position_1T), position_1T, stream_BT=np.array([[0] * P + [1]]))
        tokens_1T = jnp.array([[*PROMPTS[0], MASK]])
        logits_1TV = of_network(network, SEES)(tokens_1T, facts, jnp.zeros(tokens_1T.shape))
        assert np.asarray(logits_1TV)[0, -1, :MASK].argmax() == token


def test_a_text_is_its_tokens_in_place_up_to_eos_and_its_own_in_any_batch(small):
    network = small(layers=1)
    state, alone = write(network, 0.5, 2), write(network, 0.5, 2, prompts=PROMPTS[:1])
    for order_N, new_N, text_N in zip(state.order_BN, state.new_BN, state.written.tokens_BN, strict=True):
        assert dict(zip(order_N.tolist(), new_N.tolist(), strict=True)) == dict(enumerate(text_N.tolist()))
    np.testing.assert_array_equal(alone.written.tokens_BN[0], state.written.tokens_BN[0])
    eos = int(state.written.tokens_BN[0, 3])
    ended = write(network, 0.5, 2, eos=eos).written
    assert int(ended.count_B[0]) == state.written.tokens_BN[0].tolist().index(eos) + 1
