"""Gradients from weights recomputed by the log-sum-exp: one kernel owns queries, one keys, so that nothing is added
across steps of different rows of blocks and equal inputs give equal bits.

    p = exp(scale q·k − lse)    dv = pᵀ·dout    ds = p (dout·v − delta)    dq = scale ds·k    dk = scale dsᵀ·q
"""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl

from hybridlm.attention.splash.tiles import COLUMNS, ROWS, Grid, along, by_class, hide, product
from hybridlm.masks.mask import Mask


@functools.partial(jax.jit, static_argnames=("mask", "scale", "interpret"))  # lowered once for all layers
def query_gradient(
    q: Array,
    k: Array,
    v: Array,
    dout: Array,
    lse: Array,
    delta: Array,
    q_facts: Mapping[str, Array],
    k_facts: Mapping[str, Array],
    grid: Grid,
    *,
    mask: Mask,
    scale: float,
    interpret: bool,
) -> Array:
    """dq, walking the same list as the forward pass; lse and delta are [B, H, 1, T]."""
    K, group = q.shape[3], q.shape[1] // k.shape[1]

    def kernel(step, q_ref, k_ref, v_ref, dout_ref, lse_ref, delta_ref, q_facts_ref, k_facts_ref, dq_ref, acc_ref):
        @pl.when(step.is_first)
        def start():
            acc_ref[...] = jnp.zeros_like(acc_ref)

        def visit(is_partial):
            scores = product(q_ref[...], k_ref[...], transposed=True) * scale
            if is_partial:
                scores = hide(mask, scores, q_facts_ref, k_facts_ref)
            weights = jnp.exp(scores - lse_ref[...].T)
            dweights = product(dout_ref[...], v_ref[...], transposed=True)
            dscores = weights * (dweights - delta_ref[...].T)
            acc_ref[...] += product(dscores.astype(k.dtype), k_ref[...])

        by_class(step, visit)

        @pl.when(step.is_last)
        def end():
            dq_ref[...] = (acc_ref[...] * scale).astype(dq_ref.dtype)

    own, shared = (lambda h, g: h), (lambda h, g: lax.div(h, group))
    queries, keys = grid.tokens(ROWS, own, K), grid.tokens(COLUMNS, shared, K)
    numbers = grid.numbers(ROWS, own)
    facts = (grid.facts(ROWS, q_facts), grid.facts(COLUMNS, k_facts))
    run = grid.run(
        kernel,
        in_specs=(queries, keys, keys, queries, numbers, numbers, *facts),
        out_specs=queries,
        out_shape=jax.ShapeDtypeStruct(q.shape, q.dtype),
        scratch=((grid.block, K),),
        interpret=interpret,
    )
    return run(q, k, v, dout, lse, delta, along(ROWS, q_facts), along(COLUMNS, k_facts))


@functools.partial(jax.jit, static_argnames=("mask", "scale", "interpret"))  # lowered once for all layers
def key_gradients(
    q: Array,
    k: Array,
    v: Array,
    dout: Array,
    lse: Array,
    delta: Array,
    q_facts: Mapping[str, Array],
    k_facts: Mapping[str, Array],
    grid: Grid,
    *,
    mask: Mask,
    scale: float,
    interpret: bool,
) -> tuple[Array, Array]:
    """(dk, dv), walking the transposed list, on tiles of transposed scores, the queries of a head's group in turn."""
    K, group = q.shape[3], q.shape[1] // k.shape[1]

    def kernel(step, q_ref, k_ref, v_ref, dout_ref, lse_ref, delta_ref, q_facts_ref, k_facts_ref, *outputs):
        dk_ref, dv_ref, dk_acc_ref, dv_acc_ref = outputs

        @pl.when(step.is_first)
        def start():
            dk_acc_ref[...] = jnp.zeros_like(dk_acc_ref)
            dv_acc_ref[...] = jnp.zeros_like(dv_acc_ref)

        def visit(is_partial):
            scores = product(k_ref[...], q_ref[...], transposed=True) * scale
            if is_partial:
                scores = hide(mask, scores, q_facts_ref, k_facts_ref)
            weights = jnp.exp(scores - lse_ref[...])
            dv_acc_ref[...] += product(weights.astype(v.dtype), dout_ref[...])
            dweights = product(v_ref[...], dout_ref[...], transposed=True)
            dscores = weights * (dweights - delta_ref[...])
            dk_acc_ref[...] += product(dscores.astype(q.dtype), q_ref[...])

        by_class(step, visit)

        @pl.when(step.is_last)
        def end():
            dk_ref[...] = (dk_acc_ref[...] * scale).astype(dk_ref.dtype)
            dv_ref[...] = dv_acc_ref[...].astype(dv_ref.dtype)

    own, shared = (lambda h, g: h * group + g), (lambda h, g: h)
    queries, keys = grid.tokens(COLUMNS, own, K), grid.tokens(ROWS, shared, K)
    numbers = grid.numbers(COLUMNS, own)
    facts = (grid.facts(COLUMNS, q_facts), grid.facts(ROWS, k_facts))
    run = grid.run(
        kernel,
        in_specs=(queries, keys, keys, queries, numbers, numbers, *facts),
        out_specs=(keys, keys),
        out_shape=tuple(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in (k, v)),
        scratch=((grid.block, K), (grid.block, K)),
        interpret=interpret,
    )
    return run(q, k, v, dout, lse, delta, along(COLUMNS, q_facts), along(ROWS, k_facts))
