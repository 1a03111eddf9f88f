"""How many tokens of the document stand before the token: a model that reads left to right knows that much of it."""

import numpy as np
from jaxtyping import Int8

from hybridlm.categories.document import Document
from hybridlm.categories.family import by_position

LABELS = {
    "no_text": "stands for no text: begin, end, padding",
    "first": "the first token of the document",
    "1_3": "1 to 3 tokens before it",
    "4_15": "4 to 15 tokens",
    "16_63": "16 to 63 tokens",
    "64_255": "64 to 255 tokens",
    "256_1023": "256 to 1,023 tokens",
    "1024_4095": "1,024 to 4,095 tokens",
    "beyond_4095": "4,096 tokens or more",
}


def compile(document: Document) -> Int8[np.ndarray, "N"]:
    """The label of every token."""
    bounds = 4 ** np.arange(len(LABELS) - 2)
    return (1 + np.searchsorted(bounds, np.arange(len(document.ids_N)), side="right")).astype(np.int8)


FAMILY = by_position(
    name="document_position",
    question="How many tokens of the document stand before the token?",
    labels=LABELS,
    is_ordered=True,
    compile=compile,
)
