"""Calls a user's function of (q, k) once with symbols that write down what is done to them.

What cannot be written down is refused at once, and the refusal names the fix.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from hybridlm.masks.expressions import (
    Absolute,
    Always,
    Comparison,
    Constant,
    Fact,
    arithmetic,
    constant,
    join,
    negate,
    show,
)

_PARENTHESES = (
    "put parentheses around each comparison, because & and | bind tighter: "
    "(q.segment == k.segment) & (q.index >= k.index)."
)
_NO_BRANCH = (
    "a mask is recorded, not run, so `{}` has no truth value yet: Python's and / or / not / if / in, chained "
    "comparisons (a < b < c), min and max cannot be used. Write & for and, | for or, ~ for not, and " + _PARENTHESES
)
_NO_ARRAY = (
    "a constant of type {} cannot stand in a mask: only whole numbers known now can. Put per-token values into the "
    "batch as an integer column and read them as a fact (q.depth, k.depth), or use masks.dense(array), which is slow."
)
_NO_INDEX = (
    "facts are symbols while a mask is recorded, and a symbol cannot index an array. Put the array into the batch as "
    "an integer column and read it as a fact (q.name, k.name); a FlexAttention function is taken over by "
    "masks.from_mask_mod(function, facts={'array_name': 'column'})."
)
_NO_PRODUCT = (
    "`{} {} {}`: facts may be multiplied, divided and reduced modulo by constants only, so that blocks of a mask can "
    "be classified without looking at every pair. Store the result as a column of the batch and read it as a fact."
)


class _Symbol:
    """Something recorded: it has no value, so Python and numpy may not ask for one."""

    __hash__ = None
    __array_ufunc__ = None  # numpy leaves `array == q.index` to us

    def __init__(self, node: Any):
        self.node = node

    def __bool__(self):
        raise TypeError(_NO_BRANCH.format(show(self.node)))

    def __index__(self):
        raise TypeError(_NO_INDEX)

    def __ne__(self, other):
        return ~(self == other)


class Term(_Symbol):
    """An integer made of facts and constants."""

    def __add__(self, other):
        return Term(arithmetic("+", self.node, _integer(other)))

    def __sub__(self, other):
        return Term(arithmetic("-", self.node, _integer(other)))

    def __rsub__(self, other):
        return Term(arithmetic("-", _integer(other), self.node))

    def __neg__(self):
        return 0 - self

    def __abs__(self):
        return Term(Absolute(self.node))

    def __mul__(self, other):
        return Term(arithmetic("*", self.node, _by_constant("*", self, other)))

    def __floordiv__(self, other):
        return Term(arithmetic("//", self.node, _by_constant("//", self, other)))

    def __mod__(self, other):
        return Term(arithmetic("%", self.node, _by_constant("%", self, other)))

    def __truediv__(self, other):
        raise TypeError(f"`{show(self.node)} / ...` is no whole number; write // to divide and round down.")

    def __lt__(self, other):
        return Truth(Comparison("<", self.node, _integer(other)))

    def __le__(self, other):
        return Truth(Comparison("<=", self.node, _integer(other)))

    def __gt__(self, other):
        return Truth(Comparison("<", _integer(other), self.node))

    def __ge__(self, other):
        return Truth(Comparison("<=", _integer(other), self.node))

    def __eq__(self, other):
        return Truth(Comparison("==", self.node, _integer(other)))

    def __and__(self, other):
        raise TypeError(f"`{show(self.node)}` is a number, and & | ^ join conditions; {_PARENTHESES}")

    def __rfloordiv__(self, other):
        raise TypeError(_NO_PRODUCT.format(other, "//", show(self.node)))

    def __rmod__(self, other):
        raise TypeError(_NO_PRODUCT.format(other, "%", show(self.node)))

    __radd__, __rmul__ = __add__, __mul__
    __or__ = __xor__ = __rand__ = __ror__ = __rxor__ = __and__


class Truth(_Symbol):
    """A condition on q and k."""

    def __and__(self, other):
        return Truth(join("and", (self.node, _condition(other))))

    def __or__(self, other):
        return Truth(join("or", (self.node, _condition(other))))

    def __xor__(self, other):
        return ~(self == other)

    def __invert__(self):
        return Truth(negate(self.node))

    def __eq__(self, other):
        """True where both conditions agree, as a condition again (three-valued in the block classifier)."""
        other = Truth(_condition(other))
        return (self & other) | (~self & ~other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__


class Record:
    """The facts of one side; any attribute is the fact of that name."""

    def __init__(self, side: str):
        self._side = side

    def __getattr__(self, name: str) -> Term:
        if name.startswith("_"):
            raise AttributeError(name)
        return Term(Fact(self._side, name))


def _integer(value: Any) -> Any:
    """The expression of an integer operand, refused if it is not one."""
    if isinstance(value, Term):
        return value.node
    if isinstance(value, Truth):
        raise TypeError(f"`{show(value.node)}` is a condition where a number is needed: join conditions by & | ~ ==.")
    try:
        if isinstance(value, bool):
            raise TypeError
        return constant(operator.index(value))
    except TypeError:
        raise TypeError(_NO_ARRAY.format(type(value).__name__)) from None


def _condition(value: Any) -> Any:
    """The expression of a condition operand, refused if it is not one."""
    if isinstance(value, Truth):
        return value.node
    if isinstance(value, (bool, np.bool_)):
        return Always(bool(value))
    raise TypeError(f"a condition joins with a condition, not with {type(value).__name__}; {_PARENTHESES}")


def _by_constant(op: str, term: Term, other: Any) -> Constant:
    node = _integer(other)
    if not isinstance(node, Constant):
        raise TypeError(_NO_PRODUCT.format(show(term.node), op, show(node)))
    if op != "*" and node.value <= 0:
        raise ValueError(f"`{show(term.node)} {op} {node.value}`: divide by a positive constant.")
    return node


def record(function: Callable[[Record, Record], Truth]) -> Any:
    """The expression of `function(q, k)`, which is called exactly once."""
    try:
        result = function(Record("q"), Record("k"))
    except IndexError as error:  # numpy and jax ask __index__, and then say this instead of what it said
        raise TypeError(_NO_INDEX) from error
    if isinstance(result, Truth):
        return result.node
    if isinstance(result, bool):
        raise TypeError(
            f"the mask function returned {result} whatever q and k are. Compare facts with == != < <= > >= (`is` "
            "answers at once), or use masks.bidirectional() where everything is visible."
        )
    raise TypeError(f"a mask function must return a condition on q and k (a comparison), not {type(result).__name__}.")
