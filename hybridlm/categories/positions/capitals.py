"""How the token's word is capitalised: a capital inside a sentence is English's mark of a name."""

import numpy as np
from jaxtyping import Bool, Int8

from hybridlm.categories import spans
from hybridlm.categories.characters import among, table
from hybridlm.categories.document import Document
from hybridlm.categories.family import by_position

LABELS = {
    "not_a_word": "outside words",
    "lower": "in a word without a capital",
    "sentence_start": "in a word with a capital first letter that opens a sentence, a paragraph or the text",
    "inside_sentence": "in a word with a capital first letter anywhere else: mostly a name",
    "all_capitals": "in a word of two capitals or more and nothing else",
    "mixed": "in a word with a capital elsewhere, as in iPhone or parseHTML",
}

_ENDS = ".!?…:"
_THROUGH = "\"'“”‘’«»()[]*_"
"""Marks that may stand between the end of a sentence and the next."""


def compile(document: Document) -> Int8[np.ndarray, "P"]:
    """The label of every character."""
    begins_J, ends_J, _, _ = document.words
    capitals = np.append(0, np.cumsum(table(str.isupper)[document.points]))
    capitals_J, letters_J = capitals[ends_J] - capitals[begins_J], ends_J - begins_J
    has_first_J = capitals[begins_J + 1] > capitals[begins_J]
    names = tuple(LABELS)
    label_J = np.select(
        [capitals_J == 0, (capitals_J == letters_J) & (letters_J > 1), (capitals_J > 1) | ~has_first_J],
        [names.index("lower"), names.index("all_capitals"), names.index("mixed")],
        np.where(_opens_sentence(document), names.index("sentence_start"), names.index("inside_sentence")),
    )
    return spans.paint(len(document.text), begins_J, ends_J, label_J)


def _opens_sentence(document: Document) -> Bool[np.ndarray, "J"]:
    """Whether each word is the first after the end of a sentence, a blank line, or the beginning."""
    points, begins_J = document.points, document.words.begins_J
    solid = np.where(table(str.isspace)[points] | among(_THROUGH)[points], -1, np.arange(len(points)))
    last = np.maximum.accumulate(np.append(-1, solid))[begins_J]
    breaks = np.append(0, np.cumsum(points == ord("\n")))
    is_end = np.append(among(_ENDS)[points], True)[last]
    return is_end | (breaks[begins_J] - breaks[last + 1] > 1)


FAMILY = by_position(
    name="capitals",
    question="How is the token's word capitalised, and where?",
    labels=LABELS,
    rule="first",
    compile=compile,
)
