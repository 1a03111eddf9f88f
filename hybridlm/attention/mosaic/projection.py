"""Attention to a layer's one projection, whose gradient the kernels write whole (`joined.py`)."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, Float

from hybridlm.attention.block_lists import check_tokens
from hybridlm.attention.mosaic import call, joined
from hybridlm.attention.mosaic.backward_keys import key_gradients
from hybridlm.attention.mosaic.backward_queries import query_gradient
from hybridlm.attention.mosaic.cuts import Cut, fastest
from hybridlm.attention.mosaic.joined import Rotation


def attend(
    prepared: call.Prepared,
    projection_BTJRK: Float[Array, "B T J R K"],
    rotation: Rotation | None,
    heads_of: Callable[[Array, Rotation | None], tuple[Array, Array, Array]],
    scale: float,
    cut: Cut | None = None,
    interpret: Any = None,
) -> Float[Array, "B T H K"] | None:
    """What `call.attend` gives for the queries, keys and values that heads_of(projection, rotation) makes; the kernels
    write the gradient of the projection. None where they cannot."""
    call.check_scale(scale)
    check_tokens(prepared.lengths, projection_BTJRK, projection_BTJRK)
    T, K = projection_BTJRK.shape[1], projection_BTJRK.shape[-1]
    cut = cut or fastest(prepared.mask, T, K)
    if cut.backward or not joined.fits(projection_BTJRK, rotation):
        return None
    how = call.pairs_of(prepared), scale, cut, interpret
    return _projected(projection_BTJRK, rotation or (), prepared.batch, heads_of, how)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _projected(projection, rotation, batch: call.Batch, heads_of: Callable, how: tuple):
    return call.attention(*heads_of(projection, rotation or None), batch, *how)[0]


def _projected_forward(projection, rotation, batch, heads_of, how):
    (out, _), kept = call.attended(*heads_of(projection, rotation or None), batch, *how)
    return out, (kept, rotation)


def _projected_backward(heads_of, how, kept, dout):
    (q, k, v, batch, out, lse), rotation = kept
    (of_queries, of_keys), scale, cut, interpret = how
    log2_sum, static = call.log2_of(lse), {"scale": scale, "interpret": interpret}
    to_dq = call.over_rows(
        functools.partial(query_gradient, pairs=of_queries, tiles=cut.queries, is_joined=True, **static)
    )
    to_rest = call.over_rows(functools.partial(key_gradients, pairs=of_keys, tiles=cut.keys, **static))
    lists = batch.keys_of[cut.queries.columns], batch.queries_of[cut.keys.columns]
    some, delta = to_dq(q, k, v, out, dout, log2_sum, batch.of_queries, lists[0], rotation)
    return to_rest(q, k, v, dout, log2_sum, delta, batch.of_keys, lists[1], rotation, some), None, None


_projected.defvjp(_projected_forward, _projected_backward)
