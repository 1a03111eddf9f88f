"""Reads a mask on numbers: scalars, arrays that broadcast, tiles inside a kernel, or a whole batch at once."""

import difflib
import functools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool

from hybridlm.facts.tokens import TokenFacts, names
from hybridlm.masks.expressions import (
    OPERATORS,
    Absolute,
    Always,
    Arithmetic,
    Comparison,
    Constant,
    Fact,
    Joined,
    Not,
    Opaque,
    Table,
    walk,
)
from hybridlm.masks.mask import Mask


class Side:
    """Facts of one side, each reshaped to broadcast against the other side; `slot` is the place in the row."""

    def __init__(self, facts: TokenFacts, axis: int):
        self._facts, self._axis = facts, axis
        self.slot = jnp.expand_dims(jnp.arange(facts.shape[1])[None], axis)

    def __getattr__(self, name: str):
        return jnp.expand_dims(getattr(self._facts, name), self._axis)


def check(mask: Mask, q_facts: TokenFacts, k_facts: TokenFacts) -> None:
    """Raises unless the tokens carry every fact the mask reads, and a dense array has their shape."""
    for facts in (q_facts, k_facts):
        known = names(facts)
        missing = [_with_hint(name, known) for name in mask.facts if name not in known]
        if missing:
            raise ValueError(
                f"mask {mask!r} reads {', '.join(missing)}, but the tokens carry {', '.join(known)}. Any integer "
                "column of the batch can be a fact: add it to the batch under that name; in a run, name a family of "
                "labels in data.labels."
            )
    shape = (q_facts.shape[1], k_facts.shape[1])
    for node in walk(mask.canonical):
        if isinstance(node, Table) and node.shape != shape:
            raise ValueError(
                f"masks.dense holds an array of shape {node.shape}, but there are {shape[0]} queries and {shape[1]} "
                "keys. An array fits one length; a mask over facts (masks.custom) fits every length, and part of a row."
            )


def _with_hint(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"{name} (did you mean {close[0]}?)" if close else name


def evaluate(mask: Mask, q: Any, k: Any):
    """True where q may see k. The facts of q and k are attributes: Python ints, numpy or jax arrays that broadcast.

    A mask with a dense array in it reads one more attribute, `slot`: the place in the row.
    """
    return _value(mask.canonical, q, k)


def materialize(mask: Mask, q_facts: TokenFacts, k_facts: TokenFacts | None = None) -> Bool[Array, "B T S"]:
    """The dense mask, True where the query (row of the matrix) may see the key (column)."""
    k_facts = q_facts if k_facts is None else k_facts
    check(mask, q_facts, k_facts)
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
        case Arithmetic(op, left, right) | Comparison(op, left, right):
            return OPERATORS[op](_value(left, q, k), _value(right, q, k))
        case Not(inner):
            return jnp.logical_not(_value(inner, q, k))
        case Joined(op, terms):
            join = jnp.logical_and if op == "and" else jnp.logical_or
            return functools.reduce(join, (_value(term, q, k) for term in terms))
        case Table():
            return jnp.asarray(node.array)[q.slot, k.slot]
        case Opaque(function):
            return function(q, k)
    raise TypeError(f"{node!r} is not part of a mask")
