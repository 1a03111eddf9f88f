"""Diffusion samplers as writers, which `streaming.write` drives: prompts in, and after every call more text.

Masked and uniform diffusion write all of it in one call; block diffusion so many blocks a call.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

from hybridlm.masks import Mask
from hybridlm.sampling import blocks
from hybridlm.sampling import canvas as canvases
from hybridlm.sampling import written as writing
from hybridlm.sampling.blocks import Sizes
from hybridlm.sampling.canvas import Canvas
from hybridlm.sampling.denoise import Sampler, denoise
from hybridlm.sampling.network import Network
from hybridlm.sampling.predictions import of_network
from hybridlm.sampling.rows import continued, facts_of
from hybridlm.sampling.trace import Trace
from hybridlm.sampling.written import Written


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Whole:
    """Rows that are written all at once."""

    canvas: Canvas
    trace: Trace | None


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
    """Between two calls.

    Attributes:
      rows: with a `canvas`, and a `trace` of every step or None.
      length_B: of the prompts. end_B: where rows end. keys_B: of each row's noise. written: the text.
    """

    rows: Whole | blocks.State
    length_B: Int[Array, "B"]
    end_B: Int[Array, "B"]
    keys_B: Key[Array, "B"]
    written: Written


def trace(state: State) -> Trace | None:
    """Every step so far, where they are kept."""
    return state.rows.trace


@functools.partial(jax.jit, static_argnames=("tokens", "mask_id"))
def start(
    network: Network,
    prompts_BP: Int[Array, "B P"],
    start_B: Int[Array, "B"],
    keys_B: Key[Array, "B"],
    *,
    tokens: int,
    mask_id: int,
) -> State:
    """Rows of prompts, padded on the left, and of masked tokens behind them."""
    tokens_BT, end_B = continued(prompts_BP, start_B, tokens, mask_id)
    rows, written = Whole(canvases.start(tokens_BT, mask_id), None), writing.nothing(len(prompts_BP), tokens)
    return State(rows, prompts_BP.shape[1] - start_B, end_B, keys_B, written)


@functools.partial(jax.jit, static_argnames=("sampler", "mask", "predicts", "eos", "record"))
def advance(
    network: Network, state: State, *, sampler: Sampler, mask: Mask, predicts: str, eos: int, record: bool
) -> State:
    """Writes everything."""
    canvas = state.rows.canvas
    facts, predict = facts_of(canvas.tokens_BT.shape, end_B=state.end_B), of_network(network, mask, predicts=predicts)
    rows = Whole(*denoise(sampler, predict, canvas, facts, state.keys_B, record=record))
    return _with_text(dataclasses.replace(state, rows=rows), state.end_B, eos)


@functools.partial(jax.jit, static_argnames=("sampler", "mask", "sizes", "tokens", "mask_id", "record"))
def start_blocks(
    network: Network,
    prompts_BP: Int[Array, "B P"],
    start_B: Int[Array, "B"],
    keys_B: Key[Array, "B"],
    *,
    sampler: Sampler,
    mask: Mask,
    sizes: Sizes,
    tokens: int,
    mask_id: int,
    record: bool,
) -> State:
    """The same in whole blocks, and prompts are read."""
    tokens_BT, end_B = continued(prompts_BP, start_B, tokens, mask_id, block_size=sizes.noisy)
    reader, given = blocks.cached(network, tokens_BT.shape, mask), prompts_BP.shape[1] // sizes.noisy * sizes.noisy
    rows = blocks.begin(sampler, reader, tokens_BT, sizes=sizes, mask_id=mask_id, given=given, record=record)
    written = writing.nothing(len(prompts_BP), tokens)
    return State(rows, prompts_BP.shape[1] - start_B, end_B, keys_B, written)


@functools.partial(jax.jit, static_argnames=("sampler", "mask", "sizes", "eos", "many"), donate_argnames="state")
def advance_blocks(
    network: Network, state: State, *, sampler: Sampler, mask: Mask, sizes: Sizes, eos: int, many: int
) -> State:
    """Writes so many blocks."""
    reader, rows = blocks.cached(network, state.rows.canvas.tokens_BT.shape, mask), state.rows
    rows = dataclasses.replace(rows, is_done_B=rows.is_done_B | state.written.is_done_B)
    until = jnp.minimum(rows.number + many, rows.canvas.tokens_BT.shape[1] // sizes.noisy)
    rows = blocks.advance(sampler, reader, rows, state.keys_B, sizes=sizes, until=until, eos=eos)
    return _with_text(dataclasses.replace(state, rows=rows), rows.number * sizes.noisy, eos)


def _with_text(state: State, until: Int[Array, "*_"], eos: int) -> State:
    """The state with all that stands before slot `until` added to its text."""
    tokens_BT, room = state.rows.canvas.tokens_BT, state.written.tokens_BN.shape[1]
    begin_B = state.length_B + state.written.count_B
    place_BN = jnp.minimum(begin_B[:, None] + jnp.arange(room), tokens_BT.shape[1] - 1)
    new_BN = jnp.take_along_axis(tokens_BT, place_BN, axis=1)
    count_B = jnp.clip(until - begin_B, 0, room)
    return dataclasses.replace(state, written=writing.add(state.written, new_BN, count_B, eos))
