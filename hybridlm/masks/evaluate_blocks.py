"""Says of every block of queries x keys whether it is empty, partial or full, without looking at single pairs.

Each fact is summed up as its (min, max) over a block, and the expression is read on intervals with three-valued logic.
The answer is always sound: a block called empty holds no visible pair, a block called full no hidden one. It costs
O(T + blocks^2) and runs inside jit on traced facts. It is exact where facts are monotone along a stream, unless
different pairs of a block meet the two sides of an &; there, "partial" costs speed, never correctness.
"""

import functools
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int8

from hybridlm.facts.names import LIMIT
from hybridlm.facts.tokens import TokenFacts
from hybridlm.masks.evaluate_dense import check, materialize
from hybridlm.masks.expressions import (
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
)
from hybridlm.masks.mask import Mask

EMPTY, PARTIAL, FULL = 0, 1, 2


class Interval(NamedTuple):
    """All values lie in [low, high]."""

    low: Any
    high: Any


class Verdict(NamedTuple):
    """`possible`: some pair of the block may satisfy it. `certain`: every pair does."""

    possible: Any
    certain: Any


def block_map(
    mask: Mask,
    q_facts: TokenFacts,
    k_facts: TokenFacts | None = None,
    *,
    block_q: int = 128,
    block_k: int = 128,
) -> Int8[Array, "B QB KB"]:
    """0 empty, 1 partial, 2 full, per block. Lengths need not divide: a last block is judged by the tokens it has."""
    for name, size in (("block_q", block_q), ("block_k", block_k)):
        if size < 1:
            raise ValueError(f"{name}={size} must be at least 1: it is the tokens of a block; kernels take 64 or 128.")
    k_facts = q_facts if k_facts is None else k_facts
    check(mask, q_facts, k_facts)
    blocks = _Blocks(_Side(q_facts, block_q, (0, 2, 3)), _Side(k_facts, block_k, (1, 2, 4)))
    possible, certain = blocks.verdict(mask.canonical)
    is_there = blocks.q.is_there & blocks.k.is_there
    possible, certain = jnp.any(possible & is_there, (0, 1)), jnp.all(certain | ~is_there, (0, 1))
    return jnp.where(certain, FULL, jnp.where(possible, PARTIAL, EMPTY)).astype(jnp.int8)


def computed_fraction(
    mask: Mask,
    q_facts: TokenFacts,
    k_facts: TokenFacts | None = None,
    *,
    block_q: int = 128,
    block_k: int = 128,
) -> Float[Array, ""]:
    """The share of blocks that hold a visible pair and so must be computed."""
    blocks = block_map(mask, q_facts, k_facts, block_q=block_q, block_k=block_k)
    return jnp.mean((blocks != EMPTY).astype(jnp.float32))


class _Side:
    """The queries or the keys in blocks, on the axes (q group, k group, B, q block, k block).

    The groups are the tokens of even streams, of odd streams, and padding: summed up together, a block at the seam of
    two streams or at the end of a row would seem to touch everything between their facts.
    """

    def __init__(self, facts: TokenFacts, block: int, axes: tuple[int, int, int]):
        self.facts, self.block = facts, block
        self._others = tuple({0, 1, 2, 3, 4} - set(axes))
        group = jnp.where(self._tiles("valid") == 1, self._tiles("stream") % 2, 2)
        self._is_member = group == jnp.arange(3)[:, None, None, None]
        self.is_there = jnp.expand_dims(self._is_member.any(-1), self._others)

    def interval(self, name: str) -> Interval:
        """(min, max) of a fact over each group of each block."""
        tiles = self._tiles(name)
        low = jnp.where(self._is_member, tiles, LIMIT).min(-1)
        high = jnp.where(self._is_member, tiles, -LIMIT).max(-1)
        return Interval(jnp.expand_dims(low, self._others), jnp.expand_dims(high, self._others))

    def _tiles(self, name: str) -> Array:
        column = getattr(self.facts, name)
        padded = jnp.pad(column, ((0, 0), (0, -column.shape[1] % self.block)), mode="edge")
        return padded.reshape(column.shape[0], -1, self.block)


class _Blocks:
    """The interpreter: an integer term is an interval per block, a condition a verdict per block."""

    def __init__(self, q: _Side, k: _Side):
        self.q, self.k = q, k
        self._known: dict[Fact, Interval] = {}

    def interval(self, node: Any) -> Interval:
        """The values an integer term can take in each block."""
        match node:
            case Fact(side, name):
                if node not in self._known:
                    self._known[node] = (self.q if side == "q" else self.k).interval(name)
                return self._known[node]
            case Constant(value):
                return Interval(value, value)
            case Absolute(inner):
                low, high = self.interval(inner)
                return Interval(jnp.maximum(0, jnp.maximum(low, -high)), jnp.maximum(-low, high))
            case Arithmetic(op, left, right):
                return _ARITHMETIC[op](self.interval(left), self.interval(right))
        raise TypeError(f"{node!r} is not an integer term")

    def verdict(self, node: Any) -> Verdict:
        """What is known of a condition in each block."""
        match node:
            case Always(value):
                return Verdict(value, value)
            case Comparison(op, left, right):
                return _compare(op, self.interval(left), self.interval(right))
            case Not(inner):
                possible, certain = self.verdict(inner)
                return Verdict(jnp.logical_not(certain), jnp.logical_not(possible))
            case Joined(op, terms):
                join = jnp.logical_and if op == "and" else jnp.logical_or
                return Verdict(*(functools.reduce(join, answers) for answers in zip(*map(self.verdict, terms))))
            case Table() | Opaque():
                return self._look(node)
        raise TypeError(f"{node!r} is not part of a mask")

    def _look(self, node: Table | Opaque) -> Verdict:
        """The escape hatch is looked at pair by pair."""
        dense = materialize(Mask(node), self.q.facts, self.k.facts)
        B, T, S = dense.shape
        pad = ((0, 0), (0, -T % self.q.block), (0, -S % self.k.block))
        grid = (B, -(-T // self.q.block), self.q.block, -(-S // self.k.block), self.k.block)
        seen, hidden = (jnp.pad(answer, pad).reshape(grid).any((2, 4)) for answer in (dense, ~dense))
        return Verdict(seen, ~hidden)


def _times(left: Interval, right: Interval) -> Interval:
    ends = (left.low * right.low, left.high * right.low)
    return Interval(jnp.minimum(*ends), jnp.maximum(*ends))


def _modulo(left: Interval, right: Interval) -> Interval:
    """Exact where all values lie between two multiples of the modulus, every remainder where they do not."""
    modulus = right.low
    wraps = left.low // modulus != left.high // modulus
    return Interval(jnp.where(wraps, 0, left.low % modulus), jnp.where(wraps, modulus - 1, left.high % modulus))


_ARITHMETIC = {
    "+": lambda a, b: Interval(a.low + b.low, a.high + b.high),
    "-": lambda a, b: Interval(a.low - b.high, a.high - b.low),
    "*": _times,
    "//": lambda a, b: Interval(a.low // b.low, a.high // b.low),
    "%": _modulo,
}


def _compare(op: str, left: Interval, right: Interval) -> Verdict:
    if op == "<":
        return Verdict(left.low < right.high, left.high < right.low)
    if op == "<=":
        return Verdict(left.low <= right.high, left.high <= right.low)
    overlap = (left.low <= right.high) & (right.low <= left.high)
    return Verdict(overlap, (left.low == right.high) & (left.high == right.low))
