"""The kernels as one differentiable function of arrays of any length, and what they need prepared once per batch."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hybridlm.attention.block_lists import bounded, check_tokens, fill, transposed
from hybridlm.attention.splash import BLOCK
from hybridlm.attention.splash.backward import key_gradients, query_gradient
from hybridlm.attention.splash.forward import forward
from hybridlm.attention.splash.steps import Steps, listed
from hybridlm.attention.splash.tiles import LANES, Grid
from hybridlm.facts.tokens import TokenFacts, as_dict
from hybridlm.masks.evaluate_blocks import block_map
from hybridlm.masks.expressions import Fact, walk
from hybridlm.masks.mask import Mask

MOST_BLOCKS = 2**17
"""Of a list: half a MiB, and a TPU has one MiB of scalar memory."""


class Batch(NamedTuple):
    """The tokens of one batch as the kernels read them: facts by name, and the steps past queries and past keys."""

    q_facts: dict[str, Array]
    k_facts: dict[str, Array]
    queries: Steps
    keys: Steps


class Prepared(NamedTuple):
    """A batch, how many queries and keys it has, the mask bounded to the keys that are there, and the block."""

    batch: Batch
    lengths: tuple[int, int]
    mask: Mask
    block: int


def prepare(mask: Mask, q_facts: TokenFacts, k_facts: TokenFacts | None, block: int = BLOCK) -> Prepared:
    """Classifies the blocks and lists the steps, on the device."""
    k_facts = q_facts if k_facts is None else k_facts
    lengths = q_facts.shape[1], k_facts.shape[1]
    block = min(block, max(-(-length // LANES) * LANES for length in lengths))
    rows = max(q_facts.shape[0], k_facts.shape[0])
    mask = bounded(mask, k_facts, block)
    q_facts, k_facts = fill(q_facts, rows, block), fill(k_facts, rows, block)
    classes = block_map(mask, q_facts, k_facts, block_q=block, block_k=block)
    _check_fits(classes.shape)
    batch = Batch(_read(mask, "q", q_facts), _read(mask, "k", k_facts), listed(classes), listed(transposed(classes)))
    return Prepared(batch, lengths, mask, block)


def _read(mask: Mask, side: str, facts: TokenFacts) -> dict[str, Array]:
    """The facts the mask reads of one side."""
    known = as_dict(facts)
    nodes = walk(mask.canonical)
    return {node.name: known[node.name] for node in nodes if isinstance(node, Fact) and node.side == side}


def attend(
    prepared: Prepared,
    q_BTHK: Float[Array, "B T H K"],
    k_BSJK: Float[Array, "B S J K"],
    v_BSJK: Float[Array, "B S J K"],
    scale: float,
    *,
    interpret: bool = False,
) -> tuple[Float[Array, "B T H K"], Float[Array, "B H T"]]:
    """(out, log-sum-exp of the scaled scores in nats); a query that sees nothing gets zeros and minus infinity.

    Only `out` has a gradient.
    """
    check_tokens(prepared.lengths, q_BTHK, k_BSJK)
    T, block = q_BTHK.shape[1], prepared.block
    heads_first = (jnp.swapaxes(x, 1, 2) for x in (q_BTHK, k_BSJK, v_BSJK))
    filled = (jnp.pad(x, ((0, 0), (0, 0), (0, -x.shape[2] % block), (0, 0))) for x in heads_first)
    out, lse = _attention(*filled, prepared.batch, prepared.mask, scale, block, interpret)
    return jnp.swapaxes(out, 1, 2)[:, :T], lse[:, :, 0, :T]


def _check_fits(blocks: tuple[int, int, int]) -> None:
    """Refuses a list that scalar memory would not hold."""
    if math.prod(blocks) > MOST_BLOCKS:
        raise ValueError(
            f"{blocks[0]} rows of {blocks[1]} x {blocks[2]} blocks are {math.prod(blocks)} on one device, whose scalar "
            f"memory holds a list of {MOST_BLOCKS}. Give each device fewer rows, by a larger mesh or "
            "training.accumulate, or parts of rows, by mesh.sequence."
        )


def _grid(steps: Steps, q: Array, heads: int, block: int) -> Grid:
    """The grid of one kernel: a list of one row serves the whole batch, a list of several has them all."""
    return Grid(steps, block, (q.shape[0] // steps.blocks[0], heads, q.shape[1] // heads))


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6, 7))
def _attention(q, k, v, batch: Batch, mask: Mask, scale: float, block: int, interpret: bool):
    grid = _grid(batch.queries, q, q.shape[1], block)
    return forward(q, k, v, batch.q_facts, batch.k_facts, grid, mask=mask, scale=scale, interpret=interpret)


def _forward(q, k, v, batch, mask, scale, block, interpret):
    out, lse = _attention(q, k, v, batch, mask, scale, block, interpret)
    return (out, lse), (q, k, v, batch, out, lse)


def _backward(mask, scale, block, interpret, kept, cotangents):
    q, k, v, batch, out, lse = kept
    dout, _ = cotangents
    delta = jnp.einsum("BHTK,BHTK->BHT", out, dout, preferred_element_type=jnp.float32)[:, :, None]
    lse = jnp.where(jnp.isneginf(lse), jnp.inf, lse)
    arrays = (q, k, v, dout, lse, delta, batch.q_facts, batch.k_facts)
    static = {"mask": mask, "scale": scale, "interpret": interpret}
    dq = query_gradient(*arrays, _grid(batch.queries, q, q.shape[1], block), **static)
    dk, dv = key_gradients(*arrays, _grid(batch.keys, q, k.shape[1], block), **static)
    return dq, dk, dv, None


_attention.defvjp(_forward, _backward)
