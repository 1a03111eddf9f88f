"""How many different tokens have followed the previous token earlier in the document: several of them compete."""

import numpy as np
from jaxtyping import Int8

from hybridlm.categories import copies
from hybridlm.categories.document import Document
from hybridlm.categories.family import by_position

LABELS = {
    "no_text": "stands for no text: begin, end, padding",
    "none": "the previous token stands there for the first time, or there is none",
    "one": "it was always followed by one and the same token",
    "two_or_three": "it was followed by two or three different tokens",
    "four_or_more": "it was followed by four different tokens or more",
}


def compile(document: Document) -> Int8[np.ndarray, "N"]:
    """The label of every token."""
    return (1 + np.searchsorted((0, 1, 3), copies.continuations(document.ids_N))).astype(np.int8)


FAMILY = by_position(
    name="interference",
    question="How many different tokens have followed the previous token before?",
    labels=LABELS,
    is_ordered=True,
    compile=compile,
)
