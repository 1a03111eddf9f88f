"""Says of every block of queries x keys whether it is empty, partial or full, without looking at single pairs.

Each fact is summed up as its (min, max) over a block; the expression is then read on intervals with three-valued logic.
The answer is always sound: a block called empty holds no visible pair, a block called full no hidden one. It costs
O(T + blocks^2), runs inside jit on traced facts, and is exact where facts are monotone along a stream; elsewhere
"partial" costs speed, never correctness.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int8

from hybridlm.facts.tokens import TokenFacts
from hybridlm.masks.evaluate_dense import materialize
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
    """0 empty, 1 partial, 2 full, per block. Lengths need not divide: a last block is judged by the tokens it has, and
    whoever computes it must keep its missing columns out."""
    k_facts = q_facts if k_facts is None else k_facts
    blocks = _Blocks(q_facts, k_facts, block_q, block_k)
    possible, certain = blocks.verdict(mask.canonical)
    shape = (max(q_facts.shape[0], k_facts.shape[0]), -(-q_facts.shape[1] // block_q), -(-k_facts.shape[1] // block_k))
    return jnp.broadcast_to(jnp.where(certain, FULL, jnp.where(possible, PARTIAL, EMPTY)), shape).astype(jnp.int8)


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


class _Blocks:
    """The interpreter: facts as intervals per block, q along rows and k along columns of the grid."""

    def __init__(self, q_facts: TokenFacts, k_facts: TokenFacts, block_q: int, block_k: int):
        self.sides = {"q": (q_facts, block_q, 2), "k": (k_facts, block_k, 1)}
        self.known: dict[Fact, Interval] = {}

    def interval(self, node: Any) -> Interval:
        """The values an integer term can take in each block."""
        match node:
            case Fact(side, name):
                if node not in self.known:
                    facts, block, axis = self.sides[side]
                    self.known[node] = _summarise(getattr(facts, name), block, axis)
                return self.known[node]
            case Constant(value):
                return Interval(value, value)
            case Absolute(inner):
                low, high = self.interval(inner)
                crosses = (low <= 0) & (high >= 0)
                ends = (jnp.abs(low), jnp.abs(high))
                return Interval(jnp.where(crosses, 0, jnp.minimum(*ends)), jnp.maximum(*ends))
            case Arithmetic(op, left, right):
                return _ARITHMETIC[op](self.interval(left), self.interval(right))
        raise TypeError(f"{node!r} is not an integer term")

    def verdict(self, node: Any) -> Verdict:
        """What is known of a condition in each block."""
        match node:
            case Always(value):
                return Verdict(jnp.asarray(value), jnp.asarray(value))
            case Comparison(op, left, right):
                return _compare(op, self.interval(left), self.interval(right))
            case Not(inner):
                possible, certain = self.verdict(inner)
                return Verdict(~certain, ~possible)
            case Joined(op, terms):
                first, *others = [self.verdict(term) for term in terms]
                for other in others:
                    first = Verdict(*((a & b if op == "and" else a | b) for a, b in zip(first, other, strict=True)))
                return first
            case Dense():
                return self._look(node)
        raise TypeError(f"{node!r} is not part of a mask")

    def _look(self, node: Dense) -> Verdict:
        """The escape hatch is looked at pair by pair."""
        (q_facts, block_q, _), (k_facts, block_k, _) = self.sides["q"], self.sides["k"]
        dense = materialize(Mask(node), q_facts, k_facts)
        pad = [(0, 0), (0, -dense.shape[1] % block_q), (0, -dense.shape[2] % block_k)]
        grid = (dense.shape[0], -(-dense.shape[1] // block_q), block_q, -(-dense.shape[2] // block_k), block_k)
        seen = jnp.pad(dense, pad).reshape(grid).any((2, 4))
        hidden = jnp.pad(~dense, pad).reshape(grid).any((2, 4))
        return Verdict(seen, ~hidden)


def _summarise(column, block: int, axis: int) -> Interval:
    """(min, max) over blocks of the last axis, shaped to broadcast over the grid."""
    padded = jnp.pad(column, ((0, 0), (0, -column.shape[1] % block)), mode="edge")
    tiles = padded.reshape(column.shape[0], -1, block)
    return Interval(jnp.expand_dims(tiles.min(-1), axis), jnp.expand_dims(tiles.max(-1), axis))


def _times(left: Interval, right: Interval) -> Interval:
    ends = (left.low * right.low, left.high * right.low)
    return Interval(jnp.minimum(*ends), jnp.maximum(*ends))


def _modulo(left: Interval, right: Interval) -> Interval:
    """Exact where the interval does not wrap around the modulus, all remainders where it does."""
    low, high = left.low % right.low, left.high % right.low
    wraps = (left.high - left.low >= right.low) | (low > high)
    return Interval(jnp.where(wraps, 0, low), jnp.where(wraps, right.low - 1, high))


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
