"""Block diffusion: block after block, each by any sampler of masked tokens, the earlier ones read once (2503.09573).

Noisy tokens see the clean blocks before them and never the other way round, so the keys and values of a finished block
are what they will always be: this cache is exact.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from hybridlm import masks
from hybridlm.config.errors import require
from hybridlm.masks import Mask
from hybridlm.sampling import cache as caches
from hybridlm.sampling import canvas as canvases
from hybridlm.sampling import trace as traces
from hybridlm.sampling.canvas import Canvas
from hybridlm.sampling.denoise import Sampler, denoise
from hybridlm.sampling.network import Network
from hybridlm.sampling.noise import Keys, folded
from hybridlm.sampling.rows import facts_of
from hybridlm.sampling.written import NO_EOS

MASK = masks.block_diffusion() & masks.same_segment() & masks.valid()
NOISY = 1
"""The stream of noisy tokens; clean ones are stream 0."""


@dataclasses.dataclass(frozen=True)
class Reader:
    """How blocks are read.

    Attributes:
      nothing: () -> the memory of nothing read yet.
      look: (memory, tokens_BT, facts, slot, noise_BT) -> logits_BTV of noisy tokens from that slot on.
      append: (memory, tokens_BT, facts, slot) -> the memory with these clean tokens.
    """

    nothing: Callable[[], Any]
    look: Callable[..., Float[Array, "B T V"]]
    append: Callable[..., Any]


def cached(network: Network, shape: tuple[int, int], mask: Mask = MASK) -> Reader:
    """Keeps the keys and values of what is read, with room for rows of this shape."""

    def look(cache, tokens_BT, facts, slot, noise_BT):
        return network.logits(caches.look(network, cache, tokens_BT, facts, slot, mask, noise_BT=noise_BT)[0])

    def append(cache, tokens_BT, facts, slot):
        return caches.append(network, cache, tokens_BT, facts, slot, mask)[1]

    return Reader(functools.partial(_nothing_read, network, shape, mask), look, append)


def _nothing_read(network: Network, shape: tuple[int, int], mask: Mask) -> caches.Cache:
    first_BT = jnp.zeros((shape[0], 1), jnp.int32)
    layers = jax.eval_shape(
        lambda: caches.prefill(network, first_BT, facts_of(first_BT.shape, 1), shape[1], mask)[1].layers
    )
    facts = facts_of(shape, 1, end_B=jnp.zeros(shape[0], jnp.int32))
    return caches.Cache(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), layers), facts)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Attributes: noisy: tokens per block. clean: tokens that see each other when read clean; 1 reads them causally."""

    noisy: int
    clean: int


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
    """Between two blocks: the whole rows, what is remembered of them, which rows have ended, and all steps so far."""

    number: Int[Array, ""]
    canvas: Canvas
    memory: Any
    is_done_B: Bool[Array, "B"]
    trace: traces.Trace | None


def begin(
    sampler: Sampler,
    reader: Reader,
    tokens_BT: Int[Array, "B T"],
    *,
    sizes: Sizes,
    mask_id: int,
    given: int = 0,
    record: bool = False,
) -> State:
    """The state before the first block in which something is masked.

    The first `given` tokens are read in one pass. What is masked among them does no harm: it is seen by nothing before
    it, and from there on every block is read again when it is written.
    """
    B, T = tokens_BT.shape
    require(
        T % sizes.noisy == 0 and given % sizes.noisy == 0,
        f"rows of {T} tokens, {given} of them read at once, are not whole blocks of {sizes.noisy}; fill the last block "
        "with masked tokens, as `rows.continued` does.",
    )
    canvas, memory = canvases.start(tokens_BT, mask_id), reader.nothing()
    if given:
        memory = reader.append(memory, tokens_BT[:, :given], facts_of((B, given), sizes.clean), 0)
    first = jnp.argmax(canvas.is_masked_BT.any(0)).astype(jnp.int32)
    return State(
        number=jnp.minimum(first, given) // sizes.noisy,
        canvas=canvas,
        memory=memory,
        is_done_B=jnp.zeros(B, bool),
        trace=traces.begin(canvas, T // sizes.noisy * sampler.steps) if record else None,
    )


def advance(
    sampler: Sampler,
    reader: Reader,
    state: State,
    keys_B: Keys,
    *,
    sizes: Sizes,
    until: Int[Array, ""] | int,
    eos: int = NO_EOS,
) -> State:
    """Writes what is masked up to block `until`, or until each row has written EOS; its later blocks hold only EOS."""
    one = functools.partial(_block, sampler, reader, keys_B, sizes, eos)
    state = lax.while_loop(lambda state: (state.number < until) & ~state.is_done_B.all(), one, state)
    return dataclasses.replace(state, canvas=_closed(state, eos))


def _closed(state, eos):
    """The rows, with EOS, or 0 where there is none, for all that rows which are done will not write any more."""
    is_left_BT = state.is_done_B[:, None] & state.canvas.is_masked_BT
    return dataclasses.replace(state.canvas, tokens_BT=jnp.where(is_left_BT, max(eos, 0), state.canvas.tokens_BT))


def _block(sampler, reader, keys_B, sizes, eos, state):
    size = sizes.noisy
    slot, rows = state.number * size, state.canvas.tokens_BT.shape[0]
    tokens_BT = lax.dynamic_slice_in_dim(_closed(state, eos).tokens_BT, slot, size, axis=1)
    part = canvases.start(tokens_BT, state.canvas.mask_id)
    facts = facts_of((rows, size), size, first=slot, stream=NOISY)

    def predict(tokens_BT, facts, noise_BT):
        return reader.look(state.memory, tokens_BT, facts, slot, noise_BT)

    part, trace = denoise(sampler, predict, part, facts, folded(keys_B, state.number), record=state.trace is not None)
    clean = facts_of((rows, size), sizes.clean, first=slot)
    return State(
        number=state.number + 1,
        canvas=_placed(state.canvas, part, slot),
        memory=reader.append(state.memory, part.tokens_BT, clean, slot),
        is_done_B=state.is_done_B | (part.is_open_BT & (part.tokens_BT == eos)).any(1),
        trace=None if trace is None else traces.join(state.trace, trace, slot),
    )


def _placed(canvas, part, slot):
    """The rows with one block of theirs replaced."""

    def put(whole_BT, part_BT):
        return lax.dynamic_update_slice_in_dim(whole_BT, part_BT, slot, axis=1)

    return dataclasses.replace(
        canvas,
        tokens_BT=put(canvas.tokens_BT, part.tokens_BT),
        confidence_BT=put(canvas.confidence_BT, part.confidence_BT),
        calls=canvas.calls + part.calls,
    )
