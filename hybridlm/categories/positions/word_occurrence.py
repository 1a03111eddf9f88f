"""Whether the token's word stands in the document for the first time."""

import numpy as np
from jaxtyping import Int8

from hybridlm.categories import spans
from hybridlm.categories.document import Document
from hybridlm.categories.family import by_position

LABELS = {
    "not_a_word": "outside words",
    "new_word": "in a word that the document has not had before, capitals aside",
    "known_word": "in a word that stood earlier in the document",
}


def compile(document: Document) -> Int8[np.ndarray, "P"]:
    """The label of every character."""
    begins_J, ends_J, number_J, _ = document.words
    is_known_J = np.diff(np.maximum.accumulate(number_J), prepend=-1) == 0
    return spans.paint(len(document.text), begins_J, ends_J, 1 + is_known_J)


FAMILY = by_position(
    name="word_occurrence",
    question="Does the token's word stand in the document for the first time?",
    labels=LABELS,
    rule="first",
    compile=compile,
)
