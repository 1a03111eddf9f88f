"""Whether the vocabulary id stands in the document for the first time."""

import numpy as np
from jaxtyping import Int8

from hybridlm.categories.document import Document
from hybridlm.categories.family import by_position

LABELS = {
    "no_text": "stands for no text: begin, end, padding",
    "new_token": "the id stands in the document for the first time",
    "known_token": "the id stood earlier in the document",
}


def compile(document: Document) -> Int8[np.ndarray, "N"]:
    """The label of every token."""
    return (1 + (document.copies.length_N > 0)).astype(np.int8)


FAMILY = by_position(
    name="token_occurrence",
    question="Does the token's id stand in the document for the first time?",
    labels=LABELS,
    compile=compile,
)
