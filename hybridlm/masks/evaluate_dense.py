"""Reads a mask on numbers: scalars, arrays that broadcast, tiles inside a kernel, or a whole batch at once."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool

from hybridlm.facts.tokens import TokenFacts
from hybridlm.masks import expressions
from hybridlm.masks.expressions import (
    Absolute,
    Always,
    Arithmetic,
    Comparison,
    Constant,
    Dense,
    Fact,
    Joined,
    Not,
)
from hybridlm.masks.mask import Mask


class Side:
    """Facts of one side, each reshaped to broadcast against the other side; `slot` is the place in the row."""

    def __init__(self, facts: TokenFacts, axis: int):
        self._facts, self._axis = facts, axis
        self.slot = jnp.expand_dims(jnp.arange(facts.shape[1])[None], axis)

    def __getattr__(self, name: str):
        return jnp.expand_dims(getattr(self._facts, name), self._axis)


def evaluate(mask: Mask, q: Any, k: Any):
    """True where q may see k. The facts of q and k are attributes: Python ints, numpy or jax arrays that broadcast."""
    return _value(mask.canonical, q, k)


def materialize(mask: Mask, q_facts: TokenFacts, k_facts: TokenFacts | None = None) -> Bool[Array, "B T S"]:
    """The dense mask, True where the query (row of the matrix) may see the key (column)."""
    k_facts = q_facts if k_facts is None else k_facts
    value = evaluate(mask, Side(q_facts, 2), Side(k_facts, 1))
    rows = max(q_facts.shape[0], k_facts.shape[0])
    return jnp.broadcast_to(jnp.asarray(value, bool), (rows, q_facts.shape[1], k_facts.shape[1]))


def _value(node: Any, q: Any, k: Any):
    match node:
        case Fact(side, name):
            return getattr(q if side == "q" else k, name)
        case Constant(value) | Always(value):
            return value
        case Absolute(inner):
            return abs(_value(inner, q, k))
        case Arithmetic(op, left, right):
            return expressions.combine(op, _value(left, q, k), _value(right, q, k))
        case Comparison(op, left, right):
            return _compare(op, _value(left, q, k), _value(right, q, k))
        case Not(inner):
            return jnp.logical_not(_value(inner, q, k))
        case Joined("and", terms):
            return _fold(jnp.logical_and, terms, q, k)
        case Joined("or", terms):
            return _fold(jnp.logical_or, terms, q, k)
        case Dense(content, array):
            return array(q, k) if array is content else jnp.asarray(array)[q.slot, k.slot]
    raise TypeError(f"{node!r} is not part of a mask")


def _compare(op: str, left, right):
    return left < right if op == "<" else left <= right if op == "<=" else left == right


def _fold(function, terms: tuple, q: Any, k: Any):
    values = [_value(term, q, k) for term in terms]
    result = values[0]
    for value in values[1:]:
        result = function(result, value)
    return result
