"""First occurrences of n-grams of five tokens, and their repetitions: recall is what the second costs less.

Recall efficiency is 1 - (mean NLL of `repeat`) / (mean NLL of `first`); `copies.recall_pairs` gives the pairs.
"""

import numpy as np
from jaxtyping import Int8

from hybridlm.categories import copies
from hybridlm.categories.document import Document
from hybridlm.categories.family import by_position

LABELS = {
    "no_text": "stands for no text: begin, end, padding",
    "single": "the five tokens ending here stand nowhere else in the document",
    "first": "they stand here first, and will be repeated",
    "repeat": "they stood earlier in the document",
}
_LENGTH = 5


def compile(document: Document) -> Int8[np.ndarray, "N"]:
    """The label of every token."""
    is_repeat_N = document.copies.length_N >= _LENGTH
    labels_N = np.ones(len(document.ids_N), np.int8)
    labels_N[copies.first_occurrences(document.copies, _LENGTH)[is_repeat_N]] = 2
    labels_N[is_repeat_N] = 3
    return labels_N


FAMILY = by_position(
    name="recall",
    question="Do the five tokens that end here repeat others, or are they repeated?",
    labels=LABELS,
    compile=compile,
)
