"""The expression a mask is: integer terms over the facts of a query q and a key k, compared and joined.

Nodes are plain frozen data, equal when they say the same thing in the same shape: comparisons keep one direction,
`&` and `|` are flattened, sorted and free of repeats, and double negation vanishes.
"""

import dataclasses
import functools
from typing import Any

from hybridlm.facts.names import LIMIT

_INT32 = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Fact:
    """An integer every token carries; side is "q" or "k"."""

    side: str
    name: str


@dataclasses.dataclass(frozen=True)
class Constant:
    value: int


@dataclasses.dataclass(frozen=True)
class Arithmetic:
    """`left op right` with op one of + - * // %; for * // % the right side is a constant."""

    op: str
    left: Any
    right: Any


@dataclasses.dataclass(frozen=True)
class Absolute:
    term: Any


@dataclasses.dataclass(frozen=True)
class Comparison:
    """`left op right` with op one of < <= ==."""

    op: str
    left: Any
    right: Any


@dataclasses.dataclass(frozen=True)
class Not:
    term: Any


@dataclasses.dataclass(frozen=True)
class Joined:
    """All (op "and") or any (op "or") of the terms."""

    op: str
    terms: tuple


@dataclasses.dataclass(frozen=True)
class Always:
    value: bool


@dataclasses.dataclass(frozen=True)
class Named:
    """A body people know by a name; the name is for reading, the body decides equality."""

    name: str
    arguments: tuple
    body: Any


@dataclasses.dataclass(frozen=True)
class Dense:
    """The escape hatch: a boolean array over (query slot, key slot), or an opaque function of two records of facts.

    `content` is what equality and hashing see: the packed bits and shape of an array, or the function itself.
    """

    content: Any
    array: Any = dataclasses.field(default=None, compare=False, repr=False)


@functools.lru_cache(maxsize=4096)
def bounds(term: Any) -> tuple[int, int]:
    """The smallest and largest value an integer term can take for any allowed facts."""
    match term:
        case Fact():
            return (1 - LIMIT, LIMIT - 1)
        case Constant(value):
            return (value, value)
        case Absolute(inner):
            low, high = bounds(inner)
            return (0 if low <= 0 <= high else min(abs(low), abs(high)), max(abs(low), abs(high)))
        case Arithmetic(op, left, right):
            corners = [combine(op, x, y) for x in bounds(left) for y in bounds(right)]
            return (0, right.value - 1) if op == "%" else (min(corners), max(corners))
    raise TypeError(f"{term!r} is not an integer term")


def combine(op: str, left, right):
    """`left op right` on numbers or arrays; // and % round down as in Python."""
    match op:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "//":
            return left // right
        case "%":
            return left % right
    raise ValueError(f"unknown operator {op!r}")


def arithmetic(op: str, left: Any, right: Any) -> Any:
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
    """Not `term`; < and <= turn around instead of growing."""
    match term:
        case Not(inner):
            return inner
        case Always(value):
            return Always(not value)
        case Comparison("<", left, right):
            return Comparison("<=", right, left)
        case Comparison("<=", left, right):
            return Comparison("<", right, left)
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
            return join(op, tuple(canonical(part) for part in terms))
        case Not(inner):
            return negate(canonical(inner))
        case Comparison("==", left, right):
            return Comparison("==", *sorted((left, right), key=repr))
    return term


def walk(term: Any):
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
            return "(" + _SIGN[op].join(show(part) for part in terms) + ")"
        case Named(name, arguments, _):
            return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments)})"
        case Dense():
            return "dense(...)"
    raise TypeError(f"{term!r} is not part of a mask")
