"""Whatever is drafted, texts follow the law of the verifying network exactly."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from hybridlm import masks
from hybridlm.config.sampling import GREEDY, Choice
from hybridlm.sampling import speculative, streaming
from hybridlm.sampling.choose import filtered
from hybridlm.sampling.drafts import BlockDraft
from hybridlm.sampling.speculative import Draft
from hybridlm.sampling.streaming import Writer
from hybridlm.sampling.written import NO_EOS
from tests.sampling.test_autoregressive import CAUSAL, PROMPTS, markov, texts
from tests.sampling.test_autoregressive import writer as autoregressive_writer

TWO_STREAMS = masks.block_diffusion() & masks.same_segment() & masks.valid()


def writer(tokens, draft, choice, *, room, eos=NO_EOS, drafts=2):
    about = {"draft": draft, "mask": CAUSAL, "choice": choice, "eos": eos, "drafts": drafts}
    return Writer(
        functools.partial(speculative.start, tokens=tokens, room=room, mask=CAUSAL),
        functools.partial(speculative.advance, **about),
    )


def fixed(table_DV, choice, count=None):
    """A draft of D tokens from one table, whatever was written."""
    table_DV = np.log(np.array(table_DV, np.float32) + 1e-30)

    def draft(network, state, keys_B):
        rows = len(keys_B)
        logits_BDV = filtered(jnp.broadcast_to(table_DV, (rows, *table_DV.shape)), choice)
        tokens_BD = jax.vmap(lambda key, logits_DV: jax.random.categorical(key, logits_DV))(keys_B, logits_BDV)
        count_B = jnp.full(rows, len(table_DV) if count is None else count)
        return Draft(tokens_BD.astype(jnp.int32), logits_BDV, count_B), state.cache

    return draft


CHAIN_VV = np.array([[0.1, 0.6, 0.3], [0.5, 0.25, 0.25], [0.2, 0.1, 0.7]])
DRAFTS = {
    "good": [[0.45, 0.3, 0.25], [0.3, 0.3, 0.4]],
    "never right": [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]],
    "partly meant": [[0.4, 0.4, 0.2], [0.1, 0.1, 0.8]],
}


CHOICES = (Choice(top_k=2), Choice(temperature=0.7, top_p=0.75))


@pytest.mark.parametrize(
    ("name", "choice"), [*((name, Choice()) for name in DRAFTS), *(("good", choice) for choice in CHOICES)]
)
def test_the_law_is_that_of_the_chain_whatever_is_drafted(name, choice):
    draft = fixed(DRAFTS[name], choice, count=1 if name == "partly meant" else None)
    found = texts(writer(3, draft, choice, room=3, drafts=3), markov(CHAIN_VV), [[1]] * 6000)
    p_VV = np.asarray(jax.nn.softmax(filtered(jnp.log(CHAIN_VV), choice)), np.float64)
    expected = (p_VV[1][:, None, None] * p_VV[:, :, None] * p_VV[None]).ravel()
    counts = np.bincount([9 * a + 3 * b + c for a, b, c in found], minlength=27)
    assert counts[expected == 0].sum() == 0
    seen = expected > 0
    assert stats.chisquare(counts[seen], 6000 * expected[seen] / expected.sum()).pvalue > 1e-3


def test_a_draft_from_the_chain_itself_is_always_accepted():
    """With p = q nothing is rejected: each pass yields the draft and one token more."""
    network = markov(np.tile([0.2, 0.3, 0.5], (3, 1)))
    made = writer(6, fixed([[0.2, 0.3, 0.5]] * 2, Choice()), Choice(), room=3, drafts=1)
    state = streaming.write(made, network, [[0]] * 50, streaming.row_keys(0, 50), lambda new: [False] * 50)
    assert state.drafts_B.tolist() == [2] * 50


def test_greedy_texts_are_those_of_autoregression_token_by_token(small):
    network, size = small(), 4
    draft = BlockDraft(block_size=size, mask_id=0, mask=TWO_STREAMS, choice=GREEDY)
    found = texts(writer(9, draft, GREEDY, room=size + 1), network, PROMPTS)
    assert found == texts(autoregressive_writer(9, GREEDY, steps=9), network, PROMPTS)


def test_a_draft_reads_the_block_as_in_training(small):
    """One token of a block of four is written; the others are predicted beside it, behind the clean block before."""
    from hybridlm.facts.tokens import from_columns
    from tests.sampling.test_cache import uncached

    network, text = small(), [3, 1, 4, 1, 5]

    @jax.jit
    def both(network):
        state = speculative.start(
            network, jnp.array([text]), jnp.zeros(1, jnp.int32), streaming.row_keys(0, 1), tokens=4, room=5, mask=CAUSAL
        )
        draft = BlockDraft(block_size=4, mask_id=0, mask=TWO_STREAMS, choice=Choice())
        found, _ = draft(network, state, state.keys_B)
        # the clean tokens see what is to their left alone, as they did when they were cached
        position = jnp.array([[0, 1, 2, 3, 4, 4, 5, 6, 7]])
        stream = jnp.array([[0] * 5 + [1] * 4])
        block = jnp.where(stream == 0, position, position // 4 * 4)
        facts = from_columns(jnp.ones_like(position), position, index_BT=position, block_BT=block, stream_BT=stream)
        hidden = uncached(network, jnp.array([[*text, 5, 0, 0, 0]]), facts, TWO_STREAMS)
        return found.logits_BDV[0, :3], network.logits(hidden[0, -3:]), found.count_B

    drafted, expected, count_B = both(network)
    np.testing.assert_allclose(drafted, expected, atol=2e-5)
    assert count_B.tolist() == [3]
