"""Decoding with a cache is the full network, token by token; rows do not know of each other."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from hybridlm import attention, masks
from hybridlm.config.sampling import GREEDY, Choice
from hybridlm.facts.head import Head
from hybridlm.facts.tokens import one_document
from hybridlm.sampling import autoregressive, streaming
from hybridlm.sampling.network import Network
from hybridlm.sampling.streaming import Writer
from hybridlm.sampling.written import NO_EOS

CAUSAL = masks.causal() & masks.same_segment() & masks.valid()
PROMPTS = [[3, 1, 4, 1, 5], [9, 2], [6, 5, 3]]


def writer(tokens, choice, *, eos=NO_EOS, steps=4):
    start = functools.partial(autoregressive.start, tokens=tokens, mask=CAUSAL)
    return Writer(start, functools.partial(autoregressive.advance, mask=CAUSAL, choice=choice, eos=eos, steps=steps))


def texts(writer, network, prompts, *, seed=0, keys_B=None, listen=lambda new: [False] * len(new)):
    keys_B = streaming.row_keys(seed, len(prompts)) if keys_B is None else keys_B
    written = streaming.write(writer, network, prompts, keys_B, listen).written
    return [row[:count] for row, count in zip(written.tokens_BN.tolist(), written.count_B.tolist())]


@jax.jit
def next_of_full_forward(network, row_T, length):
    """The likeliest token after the first `length`, from all of them at once and no cache."""
    facts = one_document(row_T.size)
    plan = attention.plan(masks.causal(), facts, dtype=jnp.float32, head_width=4, backend="dense")
    hidden_BTD, _ = network.apply(network.params, row_T[None], facts, plan.mix)
    return jnp.argmax(network.logits(hidden_BTD[0, length - 1]))


def test_greedy_decoding_is_the_argmax_of_the_full_network_step_by_step(small):
    network = small()
    for prompt, new in zip(PROMPTS, texts(writer(6, GREEDY), network, PROMPTS)):
        assert len(new) == 6
        row = np.array([*prompt, *new] + [0] * (11 - len(prompt) - len(new)), np.int32)
        for place in range(len(prompt), len(prompt) + 6):
            assert row[place] == next_of_full_forward(network, row, place)


def test_a_row_is_the_same_alone_and_in_a_batch(small):
    network, keys_B = small(), streaming.row_keys(7, 3)
    together = texts(writer(6, Choice()), network, PROMPTS, keys_B=keys_B)
    assert texts(writer(6, Choice()), network, PROMPTS[1:2], keys_B=keys_B[1:2]) == together[1:2]
    assert texts(writer(6, Choice(), steps=3), network, PROMPTS, keys_B=keys_B) == together  # however it is cut
    assert texts(writer(6, Choice()), network, PROMPTS, seed=8) != together


def test_eos_ends_a_row_and_the_listener_hears_every_token_once(small):
    network, heard = small(), [[], [], []]

    def listen(new):
        for row, more in zip(heard, new):
            row.extend(more)
        return [False, len(heard[1]) >= 2, False]  # the second row has heard enough after the first chunk

    free = texts(writer(8, GREEDY), network, PROMPTS)
    eos = free[0][2]
    ended = texts(writer(8, GREEDY, eos=eos, steps=2), network, PROMPTS, listen=listen)
    expected = [row[: row.index(eos) + 1] if eos in row else row for row in free]
    assert ended == [expected[0], expected[1][:2], expected[2]] == heard


def markov(table_VV):
    """A network that remembers the last token alone: hidden states are one-hot, the head is log p(next | token)."""
    size = len(table_VV)

    def apply(params, tokens_BT, facts, mix, *, state=None, noise_BT=None):
        return jax.nn.one_hot(tokens_BT, size), state

    return Network(jnp.log(jnp.asarray(table_VV, jnp.float32)).T, apply, Head)


def test_sampled_texts_follow_the_chain():
    table_VV = np.array([[0.1, 0.6, 0.3], [0.5, 0.25, 0.25], [0.2, 0.1, 0.7]])
    found = texts(writer(2, Choice(), steps=2), markov(table_VV), [[1]] * 4000)
    counts = np.bincount([3 * first + second for first, second in found], minlength=9)
    expected = 4000 * (table_VV[1][:, None] * table_VV).ravel()
    assert stats.chisquare(counts, expected).pvalue > 1e-3
