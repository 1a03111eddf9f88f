"""Closure: two things are open, and the inner one must be closed first. Wrong is what would close the outer one.

In between, others of the same kinds are opened and closed again, so that what was seen last does not help. A template
has either of two kinds outside, so that a liking for one closer cancels.
"""

import itertools
import random
from collections.abc import Iterator

from experiments.probes import filler
from experiments.probes.pairs import Frame

NAMES = ("totals", "routes", "settings", "shapes", "records", "layers", "options", "tracks", "colors", "rules")
BRACKETS = ("()", "[]", "{}")
TAGS = ("article", "section", "figure", "table", "form", "footer", "nav", "main", "aside")
LEADS = (
    "The guide of the valley says",
    "A later note explains",
    "One letter from the island adds",
    "The sign above the gate reads",
    "The last page of the diary tells",
)
MARKS = ("()", "[]", "“”", "«»")


def code(dice: random.Random) -> Iterator[Frame]:
    """Literals in literals; a template is a name and two kinds of bracket."""
    for name, (outer, inner) in itertools.product(NAMES, itertools.permutations(BRACKETS, 2)):
        yield Frame(
            group=f"{name} {_either(outer[0], inner[0])}",
            before=f"{name} = {outer[0]}\n    ",
            antecedent=inner[0],
            after="\n",
            closing="\n    ",
            right=inner[1],
            wrong=outer[1],
        )


def markup(dice: random.Random) -> Iterator[Frame]:
    """Elements in elements; a template is two tags."""
    for outer, inner in itertools.permutations(TAGS, 2):
        yield Frame(
            group=_either(outer, inner),
            before=f"<{outer}>\n",
            antecedent=f"<{inner}>",
            after="\n",
            closing="\n",
            right=f"</{inner}>",
            wrong=f"</{outer}>",
        )


def prose(dice: random.Random) -> Iterator[Frame]:
    """Brackets and quotation marks in each other; a template is an opening and two kinds of mark."""
    for lead, (outer, inner) in itertools.product(LEADS, itertools.permutations(MARKS, 2)):
        yield Frame(
            group=f"{lead} {_either(outer[0], inner[0])}",
            before=f"{lead} {outer[0]}in short, ",
            antecedent=inner[0],
            after="it seems that ",
            closing=" and so on",
            right=inner[1],
            wrong=outer[1],
        )


def mixed_phrases(dice: random.Random, words: int) -> str:
    """Phrases, some of them in marks of their own."""
    found = filler.phrases(dice, words).split(", ")
    marks = (dice.choice(("", "", *MARKS)) for _ in found)
    return ", ".join(f"{mark[:1]}{phrase}{mark[1:]}" for mark, phrase in zip(marks, found))


def _either(*kinds: str) -> str:
    """The name of two kinds, whichever is outside."""
    return " ".join(sorted(kinds))
