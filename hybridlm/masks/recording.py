"""Calls a user's function of (q, k) once with symbols that write down what is done to them."""

import operator
from collections.abc import Callable
from typing import Any

from hybridlm.masks.expressions import (
    Absolute,
    Always,
    Comparison,
    Constant,
    Fact,
    arithmetic,
    bounds,
    join,
    negate,
    show,
)

_NO_BRANCH = (
    "a mask is recorded, not run, so `{}` has no truth value yet: Python's and / or / not / if, chained comparisons "
    "(a < b < c), min and max cannot be used. Write & for and, | for or, ~ for not, and put parentheses around each "
    "comparison: (q.position >= k.position) & (k.position >= 4)."
)
_NO_ARRAY = (
    "{} cannot stand in a mask: only whole numbers known now can. Put per-token values into the batch as an integer "
    "column and read them as a fact (q.depth, k.depth), or use masks.dense(array), which is slow."
)


class Term:
    """An integer made of facts and constants."""

    __hash__ = None

    def __init__(self, node: Any):
        bounds(node)
        self.node = node

    def __bool__(self):
        raise TypeError(_NO_BRANCH.format(show(self.node)))

    def __index__(self):
        raise TypeError(
            f"`{show(self.node)}` is a symbol and cannot index an array. Put the array into the batch as an integer "
            "column and read it as a fact (q.name, k.name); a FlexAttention function is taken over by "
            "masks.from_mask_mod(fn, facts={'array_name': 'column'})."
        )

    __int__ = __index__

    def __add__(self, other):
        return Term(arithmetic("+", self.node, integer(other)))

    def __radd__(self, other):
        return Term(arithmetic("+", integer(other), self.node))

    def __sub__(self, other):
        return Term(arithmetic("-", self.node, integer(other)))

    def __rsub__(self, other):
        return Term(arithmetic("-", integer(other), self.node))

    def __neg__(self):
        return 0 - self

    def __abs__(self):
        return Term(Absolute(self.node))

    def __mul__(self, other):
        return Term(arithmetic("*", self.node, _by_constant("*", self, other)))

    __rmul__ = __mul__

    def __floordiv__(self, other):
        return Term(arithmetic("//", self.node, _by_constant("//", self, other)))

    def __mod__(self, other):
        return Term(arithmetic("%", self.node, _by_constant("%", self, other)))

    def __lt__(self, other):
        return Truth(Comparison("<", self.node, integer(other)))

    def __le__(self, other):
        return Truth(Comparison("<=", self.node, integer(other)))

    def __gt__(self, other):
        return Truth(Comparison("<", integer(other), self.node))

    def __ge__(self, other):
        return Truth(Comparison("<=", integer(other), self.node))

    def __eq__(self, other):
        return Truth(Comparison("==", self.node, integer(other)))

    def __ne__(self, other):
        return ~(self == other)


class Truth:
    """A condition on q and k."""

    __hash__ = None

    def __init__(self, node: Any):
        self.node = node

    def __bool__(self):
        raise TypeError(_NO_BRANCH.format(show(self.node)))

    def __and__(self, other):
        return Truth(join("and", (self.node, condition(other))))

    def __or__(self, other):
        return Truth(join("or", (self.node, condition(other))))

    def __xor__(self, other):
        return ~(self == other)

    def __invert__(self):
        return Truth(negate(self.node))

    def __eq__(self, other):
        """True where both conditions agree, as a condition again (three-valued in the block classifier)."""
        other = Truth(condition(other))
        return (self & other) | (~self & ~other)

    def __ne__(self, other):
        return ~(self == other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__


class Record:
    """The facts of one side; any attribute is the fact of that name."""

    def __init__(self, side: str):
        self._side = side

    def __getattr__(self, name: str) -> Term:
        if name.startswith("_"):
            raise AttributeError(name)
        return Term(Fact(self._side, name))


def integer(value: Any) -> Any:
    """The expression of an integer operand, refused if it is not one."""
    if isinstance(value, Term):
        return value.node
    if isinstance(value, Truth):
        raise TypeError(f"`{show(value.node)}` is a condition where a number is needed; compare numbers, join conditions.")
    if isinstance(value, bool) or not hasattr(value, "__index__") or getattr(value, "shape", ()) != ():
        raise TypeError(_NO_ARRAY.format(f"a constant of type {type(value).__name__}"))
    return Constant(operator.index(value))


def condition(value: Any) -> Any:
    """The expression of a condition operand, refused if it is not one."""
    if isinstance(value, Truth):
        return value.node
    if isinstance(value, bool):
        return Always(value)
    raise TypeError(
        f"a condition can be joined with a condition only, not with {type(value).__name__}; comparisons bind weaker than "
        "& and |, so put parentheses around each: (q.segment == k.segment) & (q.index >= k.index)."
    )


def _by_constant(op: str, term: Term, other: Any) -> Constant:
    if isinstance(other, Term):
        raise TypeError(
            f"`{show(term.node)} {op} {show(other.node)}`: facts may be multiplied, divided and reduced modulo by constants "
            "only, so that blocks of a mask can be classified without looking at every pair. Store the result as a column of "
            "the batch and read it as a fact."
        )
    node = integer(other)
    if op != "*" and node.value <= 0:
        raise ValueError(f"`{show(term.node)} {op} {node.value}`: divide by a positive constant.")
    return node


def record(function: Callable[[Record, Record], Truth]) -> Any:
    """The expression of `function(q, k)`, which is called exactly once."""
    result = function(Record("q"), Record("k"))
    if isinstance(result, Truth):
        return result.node
    if isinstance(result, bool):
        raise TypeError(
            f"the mask function returned {result} whatever q and k are; a comparison such as `is` or `in` answered at once. "
            "Compare facts with == != < <= > >=, or use masks.bidirectional() where everything is visible."
        )
    raise TypeError(f"a mask function must return a condition on q and k (a comparison), not {type(result).__name__}.")
