"""Cached equals uncached, for every mask; what is looked at stays unseen; the cache is updated in place."""

import functools
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm import attention, masks
from hybridlm.facts.tokens import from_columns
from hybridlm.sampling import cache as caches
from hybridlm.sampling.prompts import facts_at, left_padded

T, FIRST = 8, 3
MASKS = {
    "window": (masks.causal() & masks.window(2), 1),
    "prefix": ((masks.causal() | masks.prefix()) & masks.same_segment() & masks.valid(), 1),
    "block_causal": (masks.block_causal() & masks.same_segment(), 2),
    "nobody sees BOS": (masks.causal() & masks.custom(lambda q, k: k.position > 0), 1),
}


def tokens(rows=2, length=T):
    return jnp.asarray(np.random.default_rng(1).integers(0, 17, (rows, length)), jnp.int32)


def at(slots, block_size=1, start_B=(0, 0), stream=0):
    slot_BT = jnp.asarray(slots, jnp.int32)[None] + jnp.zeros((len(start_B), 1), jnp.int32)
    return facts_at(slot_BT, jnp.array(start_B), prompt_slots=FIRST, block_size=block_size, stream=stream)


def uncached(network, tokens_BT, facts, mask):
    """The whole row in one pass, as in training."""
    plan = attention.plan(mask, facts, dtype=jnp.float32, head_width=4, backend="dense")
    return network.apply(network.params, tokens_BT, facts, plan.mix)[0]


@pytest.mark.parametrize(("name", "loop"), [*((name, "unroll") for name in MASKS), ("window", "scan")])
def test_cached_equals_uncached(small, name, loop):
    mask, size = MASKS[name]
    # a block must be read whole, since its tokens see each other
    cuts = [FIRST, 4, 7, T] if size == 1 else [4, 6, T]

    @jax.jit
    def both(network, tokens_BT):
        expected = uncached(network, tokens_BT, at(range(T), size), mask)
        hidden, cache = caches.prefill(network, tokens_BT[:, : cuts[0]], at(range(cuts[0]), size), T + 2, mask)
        parts = [hidden]
        for begin, end in itertools.pairwise(cuts):
            facts = at(range(begin, end), size)
            hidden, cache = caches.append(network, cache, tokens_BT[:, begin:end], facts, begin, mask)
            parts.append(hidden)
        return jnp.concatenate(parts, axis=1), expected

    np.testing.assert_allclose(*both(small(loop=loop), tokens()), atol=2e-5)


def test_prompts_of_different_lengths_share_a_batch(small):
    mask = masks.causal() & masks.same_segment() & masks.valid()
    prompts, following = [[3, 1, 4, 1], [5, 9]], [[2, 6], [5, 3]]
    tokens_BT, start_B = left_padded(prompts)
    assert tokens_BT.tolist() == [[3, 1, 4, 1], [0, 0, 5, 9]] and start_B.tolist() == [0, 2]

    @jax.jit
    def both(network):
        _, cache = caches.prefill(network, jnp.asarray(tokens_BT), at(range(4), start_B=start_B), 6, mask)
        new_BT, facts = jnp.array(following), at([4, 5], start_B=start_B)
        together, _ = caches.append(network, cache, new_BT, facts, 4, mask)
        texts = [jnp.array([prompt + new]) for prompt, new in zip(prompts, following)]
        alone = [uncached(network, text, at(range(text.size), start_B=(0,)), mask)[:, -2:] for text in texts]
        return together, jnp.concatenate(alone)

    np.testing.assert_allclose(*both(small()), atol=2e-5)


def test_a_kept_part_of_a_look_is_as_good_as_reading_it_at_slots_of_each_rows_own(small):
    """A draft of three, of which two are kept in row 0 and one in row 1; each row reads on where it stands."""
    mask, is_kept_BT, slot_B = masks.causal(), jnp.array([[1, 1, 0], [1, 0, 0]], bool), jnp.array([6, 5])
    slot_BT = slot_B[:, None] + jnp.arange(2)

    @jax.jit
    def both(network, tokens_BT):
        expected = uncached(network, tokens_BT, at(range(T)), mask)
        _, cache = caches.prefill(network, tokens_BT[:, :4], at(range(4)), T, mask)
        _, cache = caches.look(network, cache, tokens_BT[:, 4:7], at(range(4, 7)), 4, mask)
        cache = caches.commit(cache, at(range(4, 7)), 4, is_kept_BT=is_kept_BT)
        facts = facts_at(slot_BT, jnp.zeros(2, jnp.int32), prompt_slots=FIRST)
        new_BT = jnp.take_along_axis(tokens_BT, slot_BT, axis=1)
        hidden, _ = caches.append(network, cache, new_BT, facts, slot_B, mask)
        return hidden, jnp.take_along_axis(expected, slot_BT[..., None], axis=1)

    np.testing.assert_allclose(*both(small(), tokens()), atol=2e-5)


def test_what_is_only_looked_at_changes_nothing_later(small):
    mask = masks.causal()

    @jax.jit
    def both(network, tokens_BT):
        _, cache = caches.prefill(network, tokens_BT[:, :4], at(range(4)), T, mask)
        _, disturbed = caches.look(network, cache, tokens_BT[:, :3] + 1, at(range(4, 7)), 4, mask)
        return [caches.append(network, here, tokens_BT[:, 4:5], at([4]), 4, mask)[0] for here in (cache, disturbed)]

    np.testing.assert_array_equal(*both(small(), tokens()))


def test_a_noisy_block_beside_a_cache_of_clean_ones_equals_two_streams(small):
    """The cache of block diffusion is exact: clean tokens never see noise."""
    mask = masks.block_diffusion() & masks.same_segment()
    position = jnp.tile(jnp.arange(T), (2, 2))
    stream = jnp.repeat(jnp.arange(2), T) * jnp.ones((2, 1), jnp.int32)
    two = from_columns(
        jnp.ones((2, 2 * T), jnp.int32), position, index_BT=position, block_BT=position // 4, stream_BT=stream
    )

    @jax.jit
    def both(network, tokens_BT):
        noisy_BT = tokens_BT.at[:, 5::2].set(0)
        expected = uncached(network, jnp.concatenate([tokens_BT, noisy_BT], axis=1), two, mask)[:, -4:]
        _, cache = caches.prefill(network, tokens_BT[:, :4], at(range(4), 4), T, mask)
        hidden, _ = caches.look(network, cache, noisy_BT[:, 4:], at(range(4, 8), 4, stream=1), 4, mask)
        return hidden, expected

    np.testing.assert_allclose(*both(small(), tokens()), atol=2e-5)


def test_a_step_updates_its_cache_in_place(small):
    """No layer's keys or values are copied, joined or cut apart: what XLA compiles writes into the given buffers."""
    network, mask = small(), masks.causal()
    _, cache = jax.jit(lambda network: caches.prefill(network, tokens(), at(range(T)), 64, mask))(network)
    leaves, structure = jax.tree.flatten(cache)

    @functools.partial(jax.jit, donate_argnums=1)
    def steps(network, leaves, tokens_BT):
        def one(step, cache):
            return caches.append(network, cache, tokens_BT, at([0]), T + step, mask)[1]

        return jax.tree.leaves(jax.lax.fori_loop(0, 5, one, structure.unflatten(leaves)))

    compiled = steps.lower(network, leaves, tokens(length=1)).compile().as_text()
    whole = re.escape("f32[2,4,64,4]")
    assert re.search(rf"= {whole}\S* (dynamic-update-slice|fusion)", compiled)
    assert not re.search(rf"= {whole}\S* (copy|concatenate|slice)\(", compiled)
    assert not re.search(r"f32\[2,2,4,64,4\]", compiled)  # two layers, stacked
