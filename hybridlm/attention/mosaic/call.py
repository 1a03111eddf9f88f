"""The kernels as one differentiable function of arrays of any length, and what they need prepared once per batch."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hybridlm.attention.block_lists import BlockLists, block_lists, bounded, check_tokens, fill, filled, transposed
from hybridlm.attention.mosaic import words
from hybridlm.attention.mosaic.backward import gradients
from hybridlm.attention.mosaic.backward_keys import key_gradients
from hybridlm.attention.mosaic.backward_queries import query_gradient
from hybridlm.attention.mosaic.cuts import Cut, fastest
from hybridlm.attention.mosaic.forward import forward
from hybridlm.attention.mosaic.predicate import ByFacts
from hybridlm.attention.mosaic.sight import Pairs, Sight
from hybridlm.attention.mosaic.tiles import BLOCK_ROWS, COLUMNS, LOG2_E, PART
from hybridlm.attention.mosaic.words import ByWords
from hybridlm.facts.tokens import TokenFacts
from hybridlm.masks.evaluate_blocks import block_map
from hybridlm.masks.mask import Mask


class Batch(NamedTuple):
    """The tokens of one batch as the kernels read them: who sees whom, and the blocks to visit.

    Attributes:
      of_queries, of_keys: what tells visible pairs, for kernels whose rows are queries and for those of keys.
      keys_of: what each row of queries sees, by columns of a block. queries_of: what sees each row of keys, likewise.
    """

    of_queries: Sight
    of_keys: Sight
    keys_of: dict[int, BlockLists]
    queries_of: dict[int, BlockLists]


class Prepared(NamedTuple):
    """A batch, how many queries and keys it has, the mask bounded to the keys that are there, and whether the kernels
    read it as bits or as an expression."""

    batch: Batch
    lengths: tuple[int, int]
    mask: Mask
    in_bits: bool


def prepare(mask: Mask, q_facts: TokenFacts, k_facts: TokenFacts | None, *, in_bits: bool = True) -> Prepared:
    """Classifies the blocks and lists them, on the device; inside `jit`, what no kernel reads costs nothing.

    in_bits: evaluate the mask here, to a bit a pair, or else in the kernels.
    """
    k_facts = q_facts if k_facts is None else k_facts
    lengths = q_facts.shape[1], k_facts.shape[1]
    rows = max(q_facts.shape[0], k_facts.shape[0])
    mask = bounded(filled(mask, BLOCK_ROWS), k_facts, BLOCK_ROWS)
    q_facts, k_facts = fill(q_facts, rows, BLOCK_ROWS), fill(k_facts, rows, BLOCK_ROWS)

    classes = block_map(mask, q_facts, k_facts, block_q=PART, block_k=PART)

    def lists(classes, width):
        return block_lists(classes, BLOCK_ROWS // PART, width // PART)

    def sight(of_rows):
        if in_bits:
            return Sight(words=words.words(mask, q_facts, k_facts, of_rows))
        return ByFacts(mask, of_rows).sight(q_facts, k_facts)

    batch = Batch(
        sight("q"),
        sight("k"),
        {width: lists(classes, width) for width in COLUMNS},
        {width: lists(transposed(classes), width) for width in COLUMNS},
    )
    return Prepared(batch, lengths, mask, in_bits)


def attend(
    prepared: Prepared,
    q_BTHK: Float[Array, "B T H K"],
    k_BSJK: Float[Array, "B S J K"],
    v_BSJK: Float[Array, "B S J K"],
    scale: float,
    cut: Cut | None = None,
    interpret: Any = None,
) -> tuple[Float[Array, "B T H K"], Float[Array, "B H T"]]:
    """(out, log-sum-exp of the scaled scores in nats); a query that sees nothing gets zeros and minus infinity.

    Only `out` has a gradient.
    """
    check_scale(scale)
    check_tokens(prepared.lengths, q_BTHK, k_BSJK)
    T = q_BTHK.shape[1]
    filled = (jnp.pad(x, ((0, 0), (0, -x.shape[1] % BLOCK_ROWS), (0, 0), (0, 0))) for x in (q_BTHK, k_BSJK, v_BSJK))
    cut = cut or fastest(prepared.mask, T, q_BTHK.shape[-1])
    out, lse = attention(*filled, prepared.batch, pairs_of(prepared), scale, cut, interpret)
    return out[:, :T], lse[..., :T]


def pairs_of(prepared: Prepared) -> tuple[Pairs, Pairs]:
    """How kernels of queries and kernels of keys tell pairs."""
    return tuple(ByWords() if prepared.in_bits else ByFacts(prepared.mask, rows) for rows in "qk")


def check_scale(scale: float) -> None:
    """Refuses what the kernels would compute wrongly."""
    if not scale > 0:
        raise ValueError(
            f"attention scale is {scale}, but the kernels take the maximum of scores before scaling them, so it must "
            "be above 0. Negate the queries for a negative scale, or ask for backend='dense'."
        )


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6, 7))
def attention(q, k, v, batch: Batch, pairs: tuple[Pairs, Pairs], scale: float, cut: Cut, interpret: Any):
    """(out, log-sum-exp) of arrays that blocks divide."""
    kernel = functools.partial(forward, pairs=pairs[0], scale=scale, tiles=cut.forward, interpret=interpret)
    return over_rows(kernel)(q, k, v, batch.of_queries, batch.keys_of[cut.forward.columns])


def attended(q, k, v, batch, pairs, scale, cut, interpret):
    """These, and what their gradients need."""
    out, lse = attention(q, k, v, batch, pairs, scale, cut, interpret)
    return (out, lse), (q, k, v, batch, out, lse)


def _backward(pairs, scale, cut, interpret, kept, cotangents):
    q, k, v, batch, out, lse = kept
    dout, _ = cotangents
    log2_sum = log2_of(lse)
    (of_queries, of_keys), static = pairs, {"scale": scale, "interpret": interpret}
    if cut.backward:
        delta = (out.astype(jnp.float32) * dout).sum(-1).swapaxes(1, 2)
        at_once = over_rows(functools.partial(gradients, pairs=of_keys, tiles=cut.backward, **static))
        return *at_once(q, k, v, dout, log2_sum, delta, batch.of_keys, batch.queries_of[cut.backward.columns]), None
    to_dq = over_rows(functools.partial(query_gradient, pairs=of_queries, tiles=cut.queries, **static))
    to_dk = over_rows(functools.partial(key_gradients, pairs=of_keys, tiles=cut.keys, **static))
    dq, delta = to_dq(q, k, v, out, dout, log2_sum, batch.of_queries, batch.keys_of[cut.queries.columns])
    dk, dv = to_dk(q, k, v, dout, log2_sum, delta, batch.of_keys, batch.queries_of[cut.keys.columns])
    return dq, dk, dv, None


attention.defvjp(attended, _backward)


def log2_of(lse: Array) -> Array:
    """The log-sum-exp in bits, plus infinity where nothing is seen."""
    return jnp.where(jnp.isneginf(lse), jnp.inf, lse * LOG2_E)


def over_rows(kernel: Callable) -> Callable:
    """A function of arrays [B, ...] for which `vmap` means more rows in one batch; facts may have one row for all."""
    kernel = jax.custom_batching.custom_vmap(kernel)

    @kernel.def_vmap
    def _merge(size, is_mapped, q, *others):
        B = q.shape[is_mapped[0]]

        def merge(array, is_mapped):
            array = array if is_mapped else array[None]
            return jnp.broadcast_to(array, (size, B, *array.shape[2:])).reshape(size * B, *array.shape[2:])

        out = kernel(*jax.tree.map(merge, (q, *others), tuple(is_mapped)))
        split = jax.tree.map(lambda array: array.reshape(size, B, *array.shape[1:]), out)
        return split, jax.tree.map(lambda _: True, out)

    return kernel
