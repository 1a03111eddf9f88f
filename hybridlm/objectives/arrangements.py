"""Where tokens of a text stand in the row a network reads: as they are, in random order, or with spans moved behind.

An arrangement keeps each document in the slots it has, so that packed rows stay packed and every shape is static.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key

from hybridlm.config.objective import Objective
from hybridlm.diffusion.absorbing import fixed_count
from hybridlm.objectives import layouts
from hybridlm.objectives.text import Ids, Text

STAYS, CUT, MASK_WITHIN, MASK_BEHIND = range(4)
"""What a slot of a document with spans is for."""


class Arranged(NamedTuple):
    """Attributes:
    text: what stands in each slot. place_BT: which token of the given text that is, as row * T + column.
    prefix_BT: how many slots of its document are seen whole. is_target_BT: slots whose tokens may be predicted.
    """

    text: Text
    place_BT: Int[Array, "B T"]
    prefix_BT: Int[Array, "B T"]
    is_target_BT: Bool[Array, "B T"]


def arrange(objective: Objective, text: Text, ids: Ids, key: Key[Array, ""]) -> Arranged:
    """The text as an objective wants it read."""
    if objective.corruption == "spans":
        return spans(objective, text, ids, key)
    if objective.layout == "random_order":
        return random_order(objective, text, key)
    prefix_BT = layouts.prefix_lengths(objective, text, key)
    return Arranged(text, _places(text), prefix_BT, text.is_target_BT & (text.position_BT >= prefix_BT))


def random_order(objective: Objective, text: Text, key: Key[Array, ""]) -> Arranged:
    """BOS, then each token with probability alpha_0 in random order, then the others in theirs; positions go along."""
    time_BT = jax.random.uniform(key, text.tokens_BT.shape)
    turn_BT = jnp.where(time_BT < objective.alpha_0, time_BT, 1.0 + text.position_BT)
    order_BT = _order(_document(text), jnp.where(text.is_target_BT, turn_BT, -1.0))
    moved = _take(text, order_BT)
    return Arranged(moved, _take(_places(text), order_BT), jnp.zeros_like(order_BT), moved.is_target_BT)


def spans(objective: Objective, text: Text, ids: Ids, key: Key[Array, ""]) -> Arranged:
    """Cuts random runs out of each document, leaves a mask token where each was, and puts them behind, each after one.

        B a b c d e f g h i   ->   B a M d M   M b c M e      (f, g, h and i have no room)

    T5 tells its spans apart by sentinels, each an id of its own. One id does: the n-th mask behind the text stands for
    the n-th within it, and since no mask is ever predicted, lengths of spans are given, not modelled. A document begins
    with what stays, and all ways to cut it are equally likely; T5's all end with a span, so that a short document would
    always lose its end. Of n slots k spans take 2 k for their masks, so that as many last tokens are left out; below
    four slots there is no span.
    """
    key, end_key = jax.random.split(key)
    document_BT = _document(text)
    stays_BT, cut_BT, spans_BT = span_sizes(objective, layouts.document_lengths(text))
    bounds = stays_BT, stays_BT + cut_BT, stays_BT + cut_BT + spans_BT
    role_BT = sum((text.position_BT >= bound_BT).astype(jnp.int32) for bound_BT in bounds)
    role_BT = jnp.where(text.segment_BT > 0, role_BT, STAYS)
    # what stays may go on behind the last span, and is then in one more run
    at_end_BT = jnp.take_along_axis(jax.random.uniform(end_key, role_BT.shape), document_BT, axis=1, mode="clip")
    more_BT = (role_BT == STAYS) & (at_end_BT * stays_BT >= spans_BT)
    size_BT = jnp.where(role_BT == CUT, cut_BT, stays_BT)
    span_BT = _span(key, document_BT * 4 + role_BT, role_BT, size_BT - 1, spans_BT + more_BT)
    # in the text what stays and what is cut take turns; in the row what stays and masks do, then masks and what is cut
    is_mask_BT, is_behind_BT = role_BT >= MASK_WITHIN, (role_BT == CUT) | (role_BT == MASK_BEHIND)
    source_BT = jnp.argsort(_order(document_BT, is_mask_BT, span_BT, role_BT), axis=1)
    row_BT = _order(document_BT, is_behind_BT, span_BT, jnp.where(role_BT == CUT, MASK_BEHIND + 1, role_BT))
    source_BT, is_mask_BT, is_cut_BT = _take((source_BT, is_mask_BT, role_BT == CUT), row_BT)
    moved = Text(
        tokens_BT=jnp.where(is_mask_BT, ids.mask, _take(text.tokens_BT, source_BT)),
        segment_BT=text.segment_BT,
        position_BT=text.position_BT,
        columns=_take(text.columns, source_BT),
    )
    return Arranged(moved, _take(_places(text), source_BT), stays_BT + spans_BT, is_cut_BT & (text.segment_BT > 0))


def span_sizes(
    objective: Objective, size_BT: Int[Array, "B T"]
) -> tuple[Int[Array, "B T"], Int[Array, "B T"], Int[Array, "B T"]]:
    """Of a document of so many slots: tokens that stay, tokens cut out, and spans."""
    rate, mean = objective.rate, objective.span
    wanted_BT = jnp.round(size_BT * rate / (mean + 2 * rate)).astype(jnp.int32)
    spans_BT = jnp.minimum(jnp.maximum(wanted_BT, 1), size_BT // 4)
    tokens_BT = size_BT - 2 * spans_BT
    cut_BT = jnp.clip(jnp.round(rate * tokens_BT).astype(jnp.int32), spans_BT, tokens_BT - spans_BT)
    cut_BT = jnp.where(spans_BT > 0, cut_BT, 0)
    return tokens_BT - cut_BT, cut_BT, spans_BT


def _span(key, run_BT, role_BT, size_BT, parts_BT):
    """Number of the span that each slot goes with; all ways to cut a run into so many parts are equally likely."""
    is_first_BT = jnp.diff(run_BT, axis=1, prepend=-1) != 0
    is_inner_BT = ~is_first_BT & (role_BT < MASK_WITHIN)
    size_BT = jnp.maximum(size_BT, 1)
    # half a cut less than there must be, since a count is rounded up
    is_cut_BT, _, _ = fixed_count(key, run_BT, is_inner_BT, (parts_BT - 1.5) / size_BT)
    number_BT = jnp.cumsum(is_first_BT | is_cut_BT | (role_BT >= MASK_WITHIN), axis=1)
    return number_BT - jax.lax.cummax(jnp.where(is_first_BT, number_BT, 0), axis=1)


def _document(text):
    """A number for each document that rises along the row, padding last."""
    return jnp.where(text.segment_BT > 0, text.start_BT, text.tokens_BT.shape[1])


def _places(text):
    return jnp.arange(text.tokens_BT.size, dtype=jnp.int32).reshape(text.tokens_BT.shape)


def _order(*keys_BT):
    """Which slot comes n-th in each row when slots are sorted by these keys."""
    slot_BT = jnp.broadcast_to(jnp.arange(keys_BT[0].shape[1], dtype=jnp.int32), keys_BT[0].shape)
    return jax.lax.sort((*keys_BT, slot_BT), num_keys=len(keys_BT))[-1]


def _take(columns, order_BT):
    return jax.tree.map(lambda x_BT: jnp.take_along_axis(x_BT, order_BT, axis=1), columns)
