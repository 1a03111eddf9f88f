"""out = softmax(scale q·k)·v over the visible blocks, in one pass with a running maximum (2205.14135)."""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl

from hybridlm.attention.splash.tiles import COLUMNS, LANES, ROWS, Grid, along, by_class, hide, product
from hybridlm.masks.mask import Mask

_LOWEST = -1e30
"""Below every score, yet finite, so that a row that sees nothing has a sum of 0 and never a NaN."""


@functools.partial(jax.jit, static_argnames=("mask", "scale", "interpret"))  # lowered once for all layers
def forward(
    q: Array,
    k: Array,
    v: Array,
    q_facts: Mapping[str, Array],
    k_facts: Mapping[str, Array],
    grid: Grid,
    *,
    mask: Mask,
    scale: float,
    interpret: bool,
) -> tuple[Array, Array]:
    """(out [B, H, T, K], log-sum-exp in nats [B, H, 1, T]); a query that sees nothing gets 0 and minus infinity."""
    B, H, T, K = q.shape
    group = H // k.shape[1]

    def kernel(step, q_ref, k_ref, v_ref, q_facts_ref, k_facts_ref, out_ref, lse_ref, acc_ref, highest_ref, sum_ref):
        @pl.when(step.is_first)
        def start():
            acc_ref[...] = jnp.zeros_like(acc_ref)
            highest_ref[...] = jnp.full_like(highest_ref, _LOWEST)
            sum_ref[...] = jnp.zeros_like(sum_ref)

        def visit(is_partial):
            scores = product(q_ref[...], k_ref[...], transposed=True) * scale
            if is_partial:
                scores = hide(mask, scores, q_facts_ref, k_facts_ref)
            before = highest_ref[...]
            highest = jnp.maximum(before, scores.max(1, keepdims=True))
            weights = jnp.exp(scores - _widened(highest, grid.block))
            shrink = jnp.exp(before - highest)
            highest_ref[...] = highest
            sum_ref[...] = sum_ref[...] * shrink + weights.sum(1, keepdims=True)
            acc_ref[...] = acc_ref[...] * _widened(shrink, K) + product(weights.astype(v.dtype), v_ref[...])

        by_class(step, visit)

        @pl.when(step.is_last)
        def end():
            share = 1 / jnp.maximum(sum_ref[...], jnp.finfo(jnp.float32).tiny)
            out_ref[...] = (acc_ref[...] * _widened(share, K)).astype(out_ref.dtype)
            lse_ref[...] = (highest_ref[...] + jnp.log(sum_ref[...])).T[:1]

    own, shared = (lambda h, g: h), (lambda h, g: lax.div(h, group))
    queries, keys = grid.tokens(ROWS, own, K), grid.tokens(COLUMNS, shared, K)
    run = grid.run(
        kernel,
        in_specs=(queries, keys, keys, grid.facts(ROWS, q_facts), grid.facts(COLUMNS, k_facts)),
        out_specs=(queries, grid.numbers(ROWS, own)),
        out_shape=(jax.ShapeDtypeStruct(q.shape, q.dtype), jax.ShapeDtypeStruct((B, H, 1, T), jnp.float32)),
        scratch=((grid.block, K), (grid.block, LANES), (grid.block, LANES)),
        interpret=interpret,
    )
    return run(q, k, v, along(ROWS, q_facts), along(COLUMNS, k_facts))


def _widened(x: Array, width: int) -> Array:
    """Numbers of rows, equal in all lanes, in so many lanes."""
    return jnp.tile(x, (1, -(-width // LANES)))[:, :width]
