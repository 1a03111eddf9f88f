"""The kernels as one differentiable function of arrays of any length, and what they need prepared once per batch."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hybridlm.attention.block_lists import BlockLists, block_lists, bounded, check_tokens, columns, fill, transposed
from hybridlm.attention.mosaic import predicate
from hybridlm.attention.mosaic.backward_keys import key_gradients
from hybridlm.attention.mosaic.backward_queries import query_gradient
from hybridlm.attention.mosaic.forward import forward
from hybridlm.attention.mosaic.tiles import BLOCK_ROWS, LOG2_E, Tiles
from hybridlm.facts.tokens import TokenFacts
from hybridlm.masks.evaluate_blocks import block_map
from hybridlm.masks.mask import Mask


class Cut(NamedTuple):
    """How the three kernels stream: keys past queries, twice, and queries past keys."""

    forward: Tiles
    queries: Tiles
    keys: Tiles


CUT = Cut(forward=Tiles(128, 2), queries=Tiles(64, 2), keys=Tiles(64, 2))
"""What shared memory and registers hold for every head width."""


class Batch(NamedTuple):
    """The tokens of one batch as the kernels read them: facts by name, and the blocks to visit for each kernel."""

    q_facts: tuple[Array, ...]
    k_facts: tuple[Array, ...]
    forward: BlockLists
    queries: BlockLists
    keys: BlockLists


class Prepared(NamedTuple):
    """A batch, how many queries and keys it has, the mask bounded to the keys that are there, and the lists' cut."""

    batch: Batch
    lengths: tuple[int, int]
    mask: Mask
    cut: Cut


def prepare(mask: Mask, q_facts: TokenFacts, k_facts: TokenFacts | None, cut: Cut = CUT) -> Prepared:
    """Classifies the blocks and lists them, on the device."""
    k_facts = q_facts if k_facts is None else k_facts
    lengths = q_facts.shape[1], k_facts.shape[1]
    rows = max(q_facts.shape[0], k_facts.shape[0])
    mask = bounded(mask, k_facts, BLOCK_ROWS)
    q_facts, k_facts = fill(q_facts, rows, BLOCK_ROWS), fill(k_facts, rows, BLOCK_ROWS)

    @functools.cache
    def classes(block_q: int, block_k: int):
        return block_map(mask, q_facts, k_facts, block_q=block_q, block_k=block_k)

    batch = Batch(
        columns(q_facts, predicate.names(mask, "q")),
        columns(k_facts, predicate.names(mask, "k")),
        block_lists(classes(BLOCK_ROWS, cut.forward.columns)),
        block_lists(classes(BLOCK_ROWS, cut.queries.columns)),
        block_lists(transposed(classes(cut.keys.columns, BLOCK_ROWS))),
    )
    return Prepared(batch, lengths, mask, cut)


def attend(
    prepared: Prepared,
    q_BTHK: Float[Array, "B T H K"],
    k_BSJK: Float[Array, "B S J K"],
    v_BSJK: Float[Array, "B S J K"],
    scale: float,
    interpret: Any = None,
) -> tuple[Float[Array, "B T H K"], Float[Array, "B H T"]]:
    """(out, log-sum-exp of the scaled scores in nats); a query that sees nothing gets zeros and minus infinity.

    Only `out` has a gradient.
    """
    _check_scale(scale)
    check_tokens(prepared.lengths, q_BTHK, k_BSJK)
    T = q_BTHK.shape[1]
    filled = (jnp.pad(x, ((0, 0), (0, -x.shape[1] % BLOCK_ROWS), (0, 0), (0, 0))) for x in (q_BTHK, k_BSJK, v_BSJK))
    out, lse = _attention(*filled, prepared.batch, prepared.mask, scale, prepared.cut, interpret)
    return out[:, :T], lse[..., :T]


def _check_scale(scale: float) -> None:
    """Refuses what the kernels would compute wrongly."""
    if not scale > 0:
        raise ValueError(
            f"attention scale is {scale}, but the kernels take the maximum of scores before scaling them, so it must "
            "be above 0. Negate the queries for a negative scale, or ask for backend='dense'."
        )


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6, 7))
def _attention(q, k, v, batch: Batch, mask: Mask, scale: float, cut: Cut, interpret: Any):
    return forward(
        q, k, v, batch.q_facts, batch.k_facts, batch.forward,
        mask=mask, scale=scale, tiles=cut.forward, interpret=interpret,
    )  # fmt: skip


def _forward(q, k, v, batch, mask, scale, cut, interpret):
    out, lse = _attention(q, k, v, batch, mask, scale, cut, interpret)
    return (out, lse), (q, k, v, batch, out, lse)


def _backward(mask, scale, cut, interpret, kept, cotangents):
    q, k, v, batch, out, lse = kept
    dout, _ = cotangents
    delta = jnp.einsum("BTHK,BTHK->BHT", out, dout, preferred_element_type=jnp.float32)
    log2_sum = jnp.where(jnp.isneginf(lse), jnp.inf, lse * LOG2_E)
    arrays = (q, k, v, dout, log2_sum, delta, batch.q_facts, batch.k_facts)
    static = {"mask": mask, "scale": scale, "interpret": interpret}
    dq = query_gradient(*arrays, batch.queries, tiles=cut.queries, **static)
    dk, dv = key_gradients(*arrays, batch.keys, tiles=cut.keys, **static)
    return dq, dk, dv, None


_attention.defvjp(_forward, _backward)
