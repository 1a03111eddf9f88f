"""`Mask`: a predicate over token facts that joins with & | ~ and is equal to every mask that says the same thing."""

import functools
from typing import Any

from hybridlm.masks import expressions
from hybridlm.masks.expressions import Fact


class Mask:
    """Who may attend to whom. Hashable by structure, so that equal masks never retrace and can key a cache.

    True means "this query may see this key". Names are kept for reading; equality ignores them.
    """

    def __init__(self, expression: Any):
        self.expression = expression

    @functools.cached_property
    def canonical(self) -> Any:
        """The expression without names, which is what equality and routing look at."""
        return expressions.canonical(self.expression)

    @functools.cached_property
    def facts(self) -> tuple[str, ...]:
        """Names of the facts this mask reads."""
        return tuple(sorted({node.name for node in expressions.walk(self.canonical) if isinstance(node, Fact)}))

    def __and__(self, other: object) -> "Mask":
        return Mask(expressions.join("and", (self.expression, _expression(other))))

    def __or__(self, other: object) -> "Mask":
        return Mask(expressions.join("or", (self.expression, _expression(other))))

    def __invert__(self) -> "Mask":
        return Mask(expressions.negate(self.expression))

    def __bool__(self):
        raise TypeError(
            f"{self!r} has no truth value, so Python's and / or / not cannot join masks: "
            "write & for and, | for or, ~ for not."
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mask) and self.canonical == other.canonical

    def __hash__(self) -> int:
        return hash(self.canonical)

    def __repr__(self) -> str:
        return expressions.show(self.expression)


def _expression(value: object) -> Any:
    if isinstance(value, Mask):
        return value.expression
    raise TypeError(
        f"a mask joins with a mask, not with {type(value).__name__}. A function of (q, k) becomes one by "
        "masks.custom(function), a FlexAttention function by masks.from_mask_mod(function), a boolean array by "
        "masks.dense(array)."
    )
