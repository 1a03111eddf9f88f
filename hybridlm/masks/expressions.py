"""The expression a mask is: integer terms over the facts of a query q and a key k, compared and joined.

Nodes are plain frozen data. In canonical form, predicates that say the same thing in the same shape are equal:
comparisons keep one direction, & and | are flattened, sorted and free of repeats, and ~ is pushed down to the leaves.
"""

import dataclasses
import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from hybridlm.facts.names import LIMIT

_INT32 = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Fact:
    """An integer every token carries; side is "q" or "k"."""

    side: str
    name: str


@dataclasses.dataclass(frozen=True)
class Constant:
    """A whole number known when the mask is built; made by `constant`, which refuses what int32 cannot hold."""

    value: int


@dataclasses.dataclass(frozen=True)
class Arithmetic:
    """`left op right` with op one of + - * // %; for * // % the right side is a constant. Made by `arithmetic`."""

    op: str
    left: Any
    right: Any


@dataclasses.dataclass(frozen=True)
class Absolute:
    """|term|."""

    term: Any


@dataclasses.dataclass(frozen=True)
class Comparison:
    """`left op right` with op one of < <= ==."""

    op: str
    left: Any
    right: Any


@dataclasses.dataclass(frozen=True)
class Not:
    """The term does not hold; made by `negate`."""

    term: Any


@dataclasses.dataclass(frozen=True)
class Joined:
    """All (op "and") or any (op "or") of the terms; made by `join`."""

    op: str
    terms: tuple


@dataclasses.dataclass(frozen=True)
class Always:
    """The same answer for every pair."""

    value: bool


@dataclasses.dataclass(frozen=True)
class Named:
    """A body people know by a name; the name is for reading, the body decides equality."""

    name: str
    arguments: tuple
    body: Any


@dataclasses.dataclass(frozen=True)
class Table:
    """A boolean array over (query slot, key slot), as packed bits."""

    shape: tuple[int, int]
    bits: bytes

    @property
    def array(self) -> np.ndarray:
        size = self.shape[0] * self.shape[1]
        return np.unpackbits(np.frombuffer(self.bits, np.uint8), count=size).reshape(self.shape).astype(bool)


@dataclasses.dataclass(frozen=True)
class Opaque:
    """A function of two records of fact arrays that nothing is known of."""

    function: Callable


OPERATORS = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
}
"""What a sign does to numbers or arrays; // and % round down, as in Python."""


def bounds(term: Any) -> tuple[int, int]:
    """The smallest and largest value an integer term can take for any allowed facts."""
    match term:
        case Fact():
            return (1 - LIMIT, LIMIT - 1)
        case Constant(value):
            return (value, value)
        case Absolute(inner):
            low, high = bounds(inner)
            return (max(0, low, -high), max(-low, high))
        case Arithmetic("%", _, Constant(modulus)):
            return (0, modulus - 1)
        case Arithmetic(op, left, right):
            corners = [OPERATORS[op](x, y) for x in bounds(left) for y in bounds(right)]
            return (min(corners), max(corners))
    raise TypeError(f"{term!r} is not an integer term")


def constant(value: int) -> Constant:
    """A constant that fits int32."""
    if abs(value) > _INT32:
        raise ValueError(f"the constant {value} is beyond int32; facts stay within ±{LIMIT}, so a smaller one will do.")
    return Constant(value)


def arithmetic(op: str, left: Any, right: Any) -> Arithmetic:
    """`left op right`, refused where some allowed facts could leave int32."""
    term = Arithmetic(op, left, right)
    low, high = bounds(term)
    if low < -_INT32 or high > _INT32:
        raise ValueError(
            f"{show(term)} can reach {max(-low, high)}, beyond int32, because every fact may reach ±{LIMIT}; "
            "subtract facts instead of adding them, or store the sum as a column of the batch and read it as a fact."
        )
    return term


def negate(term: Any) -> Any:
    """Not `term`: < and <= turn around, and De Morgan's laws take ~ inside & and |."""
    match term:
        case Not(inner):
            return inner
        case Always(value):
            return Always(not value)
        case Comparison("<", left, right):
            return Comparison("<=", right, left)
        case Comparison("<=", left, right):
            return Comparison("<", right, left)
        case Joined(op, terms):
            return join("or" if op == "and" else "and", tuple(map(negate, terms)))
    return Not(term)


def join(op: str, terms: tuple) -> Any:
    """All or any of the terms, flattened, sorted, without repeats."""
    flat = {part for term in terms for part in (term.terms if isinstance(term, Joined) and term.op == op else (term,))}
    absorbing, neutral = Always(op == "or"), Always(op == "and")
    flat.discard(neutral)
    if absorbing in flat:
        return absorbing
    if len(flat) < 2:
        return flat.pop() if flat else neutral
    return Joined(op, tuple(sorted(flat, key=repr)))


def canonical(term: Any) -> Any:
    """The same predicate without names: what equality, hashing and routing compare."""
    match term:
        case Named(_, _, body):
            return canonical(body)
        case Joined(op, terms):
            return join(op, tuple(map(canonical, terms)))
        case Not(inner):
            return negate(canonical(inner))
        case Comparison("==", left, right):
            return Comparison("==", *sorted((left, right), key=repr))
    return term


def walk(term: Any) -> Iterator[Any]:
    """Every node below and including `term`."""
    yield term
    for field in dataclasses.fields(term):
        value = getattr(term, field.name)
        for child in value if isinstance(value, tuple) else (value,):
            if dataclasses.is_dataclass(child):
                yield from walk(child)


_SIGN = {"and": " & ", "or": " | "}


def show(term: Any) -> str:
    """The expression as a person would write it, names kept."""
    match term:
        case Fact(side, name):
            return f"{side}.{name}"
        case Constant(value) | Always(value):
            return str(value)
        case Absolute(inner):
            return f"abs({show(inner)})"
        case Arithmetic(op, left, right) | Comparison(op, left, right):
            return f"({show(left)} {op} {show(right)})"
        case Not(inner):
            return f"~{show(inner)}"
        case Joined(op, terms):
            return "(" + _SIGN[op].join(map(show, terms)) + ")"
        case Named(name, arguments, _):
            return f"{name}({', '.join(f'{key}={value}' for key, value in arguments)})"
        case Table(shape, _):
            return f"dense({shape[0]} x {shape[1]} array)"
        case Opaque(function):
            return f"dense({getattr(function, '__name__', 'function')})"
    raise TypeError(f"{term!r} is not part of a mask")
