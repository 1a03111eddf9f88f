"""Exactly so many words that answer nothing, to stand between a question and what it asks for."""

import random
from collections.abc import Callable, Iterator

from experiments.probes.words import ADJECTIVES, PLACES, PREPOSITIONS, THINGS, VERBS

SHORTEST, LONGEST = 6, 11
"""Words of a sentence; any number from the shortest on is a sum of such."""

Filler = Callable[[random.Random, int], str]
"""(dice, words) -> text of so many words."""


def sentences(dice: random.Random, words: int) -> str:
    """`The old lamp stood near the wall. The ...`"""
    return " ".join(f"{clause.capitalize()}." for clause in _clauses(dice, words))


def phrases(dice: random.Random, words: int) -> str:
    """The same without full stops, as it may stand inside one sentence."""
    return ", ".join(_clauses(dice, words))


def paragraphs(dice: random.Random, words: int) -> str:
    """Sentences as elements of a page."""
    tags = (dice.choice(("p", "li", "b", "i")) for _ in range(words))
    return "\n".join(f"<{tag}>{clause.capitalize()}.</{tag}>" for tag, clause in zip(tags, _clauses(dice, words)))


def elements(dice: random.Random, words: int) -> str:
    """Elements of a nested literal, a line each, in balanced brackets of all kinds."""
    lines = []
    while words:
        size = min(words, dice.randint(1, 4))
        opener, closer = dice.choice(("()", "[]", "{}"))
        lines.append(f"        {opener}{', '.join(dice.choices(THINGS, k=size))}{closer},")
        words -= size
    return "\n".join(lines)


def _clauses(dice: random.Random, words: int) -> Iterator[str]:
    while words:
        size = words if words <= LONGEST else dice.randint(SHORTEST, min(LONGEST, words - SHORTEST))
        yield _clause(dice, size)
        words -= size


def _clause(dice: random.Random, size: int) -> str:
    """Six words and adjectives."""
    adjectives = dice.sample(ADJECTIVES, size - SHORTEST)
    before, after = adjectives[::2], adjectives[1::2]
    verb, preposition = dice.choice(VERBS), dice.choice(PREPOSITIONS)
    return " ".join(["the", *before, dice.choice(THINGS), verb, preposition, "the", *after, dice.choice(PLACES)])
