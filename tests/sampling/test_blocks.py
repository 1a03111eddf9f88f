"""Block diffusion: the cache is exact, blocks follow the chain rule, and a text ends where it says so."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm import attention
from hybridlm.config.errors import ConfigError
from hybridlm.facts.tokens import concatenate
from hybridlm.sampling import blocks
from hybridlm.sampling.masked import Ordered
from hybridlm.sampling.prompts import left_padded
from hybridlm.sampling.rows import continued, facts_of
from tests.sampling.chain import LENGTH, MASK, distance, keys, noise_floor, perfect

SIZE, VOCAB_MASK = 4, 16
PROMPTS = tuple(map(jnp.asarray, left_padded([[1, 5, 9, 2, 6, 5], [1, 3, 5], [1, 2, 3, 4, 5]])))


def uncached(network, shape):
    """Reads all clean tokens and the noisy block in one pass, as in training; remembers the tokens alone."""
    clean = facts_of(shape, SIZE)

    def look(memory_BT, tokens_BT, facts, slot, noise_BT):
        both_BT, both = jnp.concatenate([memory_BT, tokens_BT], 1), concatenate([clean, facts], axis=1)
        plan = attention.plan(blocks.MASK, both, dtype=jnp.float32, head_width=4, backend="dense")
        hidden_BTD, _ = network.apply(network.params, both_BT, both, plan.mix)
        return network.logits(hidden_BTD[:, shape[1] :])

    def append(memory_BT, tokens_BT, facts, slot):
        return jax.lax.dynamic_update_slice_in_dim(memory_BT, tokens_BT, slot, axis=1)

    return blocks.Reader(lambda: jnp.zeros(shape, jnp.int32), look, append)


@functools.partial(jax.jit, static_argnames=("reader_of", "sampler", "given", "eos", "record"))
def generate(network, tokens_BT, seed, *, reader_of, sampler, given=0, eos=-1, record=False):
    return _all_blocks(
        sampler, reader_of(network, tokens_BT.shape), tokens_BT, seed, SIZE, VOCAB_MASK, eos, given, record
    )


def _all_blocks(sampler, reader, tokens_BT, seed, size, mask_id, eos=-1, given=0, record=False):
    sizes = blocks.Sizes(size, size)
    state = blocks.begin(sampler, reader, tokens_BT, sizes=sizes, mask_id=mask_id, given=given, record=record)
    noise = keys(seed, len(tokens_BT))
    state = blocks.advance(sampler, reader, state, noise, sizes=sizes, until=tokens_BT.shape[1] // size, eos=eos)
    return state.canvas, state.trace


def test_cached_logits_equal_those_of_one_pass_over_everything(small):
    """At every block, whatever stood in it before."""
    tokens_BT = jnp.asarray(np.random.default_rng(0).integers(0, 16, (3, 12)), jnp.int32)
    noisy_BT = jnp.asarray(np.random.default_rng(1).integers(0, 17, (3, SIZE)), jnp.int32)
    noise_BT = jnp.full((3, SIZE), 0.5)

    @jax.jit
    def every_block(network):
        found = []
        for reader in (blocks.cached(network, (3, 12)), uncached(network, (3, 12))):
            memory = reader.nothing()
            for slot in (0, 4, 8):
                noisy = facts_of((3, SIZE), SIZE, first=slot, stream=blocks.NOISY)
                found.append(reader.look(memory, noisy_BT, noisy, slot, noise_BT))
                clean = facts_of((3, SIZE), SIZE, first=slot)
                memory = reader.append(memory, tokens_BT[:, slot : slot + SIZE], clean, slot)
        return jnp.stack(found[:3]), jnp.stack(found[3:])

    np.testing.assert_allclose(*every_block(small()), atol=2e-5)


def test_the_cache_changes_no_sample(small):
    """Prompts of three lengths in one batch; reading whole blocks of prompts at once changes nothing either."""
    tokens_BT, _ = continued(*PROMPTS, 5, VOCAB_MASK, block_size=SIZE)
    write = functools.partial(generate, small(layers=1), tokens_BT, 0, sampler=Ordered(steps=2, order="confidence"))
    whole, _ = write(reader_of=uncached)
    for given in (0, 4):
        canvas, _ = write(reader_of=blocks.cached, given=given)
        assert canvas.tokens_BT.tolist() == whole.tokens_BT.tolist()
        assert int(canvas.calls) == int(whole.calls) > 0


def test_prompts_stay_and_every_token_is_written(small):
    tokens_BT, _ = continued(*PROMPTS, 5, VOCAB_MASK, block_size=SIZE)
    canvas, trace = generate(
        small(layers=1), tokens_BT, 1, reader_of=blocks.cached, sampler=Ordered(steps=SIZE), record=True
    )
    given_BT = np.asarray(tokens_BT)
    written_BT = np.asarray(canvas.tokens_BT)
    assert not (written_BT == VOCAB_MASK).any()
    np.testing.assert_array_equal(written_BT[given_BT != VOCAB_MASK], given_BT[given_BT != VOCAB_MASK])
    count = int(trace.count)
    np.testing.assert_array_equal(trace.tokens_NBT[count - 1], written_BT)
    np.testing.assert_array_equal(trace.confidence_NBT[count - 1], canvas.confidence_BT)
    np.testing.assert_array_equal(trace.is_revealed_NBT[:count].sum(0), given_BT == VOCAB_MASK)


def _of_tables(shape):
    """The chain's perfect prediction, which is shown the blocks before and the noisy one alone."""

    def look(memory_BT, tokens_BT, facts, slot, noise_BT):
        seen_BT = jax.lax.dynamic_update_slice_in_dim(memory_BT, tokens_BT, slot, axis=1)
        logits_BTV = perfect(seen_BT, facts, noise_BT)
        return jax.lax.dynamic_slice_in_dim(logits_BTV, slot, tokens_BT.shape[1], axis=1)

    def append(memory_BT, tokens_BT, facts, slot):
        return jax.lax.dynamic_update_slice_in_dim(memory_BT, tokens_BT, slot, axis=1)

    return blocks.Reader(lambda: jnp.full(shape, MASK), look, append)


def test_blocks_follow_the_chain_rule():
    """Blocks of two: exact with a step per token, wrong with one per block, less wrong than all four tokens at once."""
    rows = 6000

    @functools.partial(jax.jit, static_argnames=("steps", "size"))
    def run(steps, size):
        shape = (rows, LENGTH)
        return _all_blocks(Ordered(steps=steps), _of_tables(shape), jnp.full(shape, MASK), 0, size, MASK)[0].tokens_BT

    exact, by_block, at_once = (distance(run(steps, size)) for steps, size in ((2, 2), (1, 2), (1, 4)))
    assert exact < 2 * noise_floor(rows) < by_block < at_once


def test_a_row_that_has_ended_is_filled_up_and_costs_nothing_more():
    """A reader that says 7 in the first block and EOS in the second of row 0 and the third of row 1."""
    eos, never_read = 9, 5

    def look(memory, tokens_BT, facts, slot, noise_BT):
        says_B1 = jnp.where(slot // 2 == jnp.array([[1], [2]]), eos, 7)
        return 20.0 * jax.nn.one_hot(jnp.broadcast_to(says_B1, tokens_BT.shape), 11)

    reader = blocks.Reader(lambda: None, look, lambda memory, *_: memory)
    tokens_BT = jnp.full((2, 2 * never_read), 10)
    canvas, _ = jax.jit(lambda tokens_BT: _all_blocks(Ordered(steps=1), reader, tokens_BT, 0, 2, 10, eos))(tokens_BT)
    assert canvas.tokens_BT.tolist() == [[7, 7, 9, 9, 9, 9, 9, 9, 9, 9], [7, 7, 7, 7, 9, 9, 9, 9, 9, 9]]
    assert int(canvas.calls) == 3


def test_rows_of_part_of_a_block_are_refused(small):
    with pytest.raises(ConfigError, match="rows of 6 tokens, 0 of them read at once, are not whole blocks of 4"):
        generate(small(), jnp.full((1, 6), VOCAB_MASK), 0, reader_of=blocks.cached, sampler=Ordered(steps=1))
