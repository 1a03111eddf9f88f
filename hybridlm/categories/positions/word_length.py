"""How many letters the token's word has."""

import numpy as np
from jaxtyping import Int8

from hybridlm.categories import words
from hybridlm.categories.document import Document
from hybridlm.categories.family import by_position

LABELS = {
    "not_a_word": "outside words",
    "1_3": "in a word of 1 to 3 characters",
    "4_6": "of 4 to 6",
    "7_9": "of 7 to 9",
    "10_12": "of 10 to 12",
    "13_or_more": "of 13 or more",
}
_LAST = (3, 6, 9, 12)


def compile(document: Document) -> Int8[np.ndarray, "P"]:
    """The label of every character."""
    lengths = [len(word) for word in document.words.distinct]
    return words.paint(document.words, 1 + np.searchsorted(_LAST, lengths), len(document.text))


FAMILY = by_position(
    name="word_length",
    question="How long is the token's word?",
    labels=LABELS,
    rule="first",
    is_ordered=True,
    compile=compile,
)
