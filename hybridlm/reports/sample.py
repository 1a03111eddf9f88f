"""A piece of held-out text with what each token cost, for colouring."""

import dataclasses
from collections.abc import Mapping, Sequence

from hybridlm.config.errors import require

LEVELS = (0.25, 0.5, 1.0, 2.0, 4.0, 6.0, 8.0)
"""Nats at which the colour of a token changes; fixed, so that samples of different runs compare."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """Attributes:
    title: where the text is from.
    tokens: the text, token by token.
    nll: column -> nats for each token, None where it was not scored (a visible prefix, say).
    """

    title: str
    tokens: Sequence[str]
    nll: Mapping[str, Sequence[float | None]]

    def __post_init__(self):
        for column, values in self.nll.items():
            require(
                len(values) == len(self.tokens),
                f"a sample needs one value per token, but column {column!r} has {len(values)} for {len(self.tokens)} "
                "tokens; put None where a token was not scored.",
            )


def level(nats: float | None) -> str:
    """Name of a token's colour: "0" (expected) to "7" (a surprise), or "none" where it was not scored."""
    return "none" if nats is None else str(sum(nats >= edge for edge in LEVELS))


def visible(token: str) -> str:
    """The token with its line breaks and tabs shown, and still breaking the line."""
    return token.replace("\n", "↵\n").replace("\t", "⇥\t")
