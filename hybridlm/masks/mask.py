"""`Mask`: a predicate over token facts that joins with & | ~ and is equal to every mask that says the same thing."""

import functools
from typing import Any

from hybridlm.masks import expressions
from hybridlm.masks.expressions import Dense, Fact


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

    @functools.cached_property
    def is_dense(self) -> bool:
        """True if part of it is the slow escape hatch, which no kernel can skip blocks of."""
        return any(isinstance(node, Dense) for node in expressions.walk(self.canonical))

    def __and__(self, other: "Mask") -> "Mask":
        return Mask(expressions.join("and", (self.expression, _expression(other))))

    def __or__(self, other: "Mask") -> "Mask":
        return Mask(expressions.join("or", (self.expression, _expression(other))))

    def __invert__(self) -> "Mask":
        return Mask(expressions.negate(self.expression))

    def __bool__(self):
        raise TypeError(
            f"{self!r} has no truth value: Python's and / or / not cannot join masks. Write & for and, | for or, ~ for not."
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mask) and self.canonical == other.canonical

    def __hash__(self) -> int:
        return hash(self.canonical)

    def __repr__(self) -> str:
        text = expressions.show(self.expression)
        return text[1:-1] if text.startswith("(") and isinstance(self.expression, expressions.Joined) else text


def _expression(value: object) -> Any:
    if isinstance(value, Mask):
        return value.expression
    raise TypeError(
        f"a mask joins with a mask, not with {type(value).__name__}. A function of (q, k) becomes one by masks.custom(function), "
        "a boolean array by masks.dense(array), a FlexAttention function by masks.from_mask_mod(function)."
    )
