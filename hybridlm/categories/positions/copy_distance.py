"""How many tokens ago the longest repetition that the token completes ended last."""

import numpy as np
from jaxtyping import Int8

from hybridlm.categories.document import Document
from hybridlm.categories.family import by_position

LABELS = {
    "no_copy": "the token is new to the document",
    "1_32": "1 to 32 tokens ago",
    "33_128": "33 to 128 tokens ago",
    "129_512": "129 to 512 tokens ago",
    "513_2048": "513 to 2,048 tokens ago",
    "2049_8192": "2,049 to 8,192 tokens ago",
    "beyond_8192": "more than 8,192 tokens ago",
}
_LAST = (32, 128, 512, 2048, 8192)


def compile(document: Document) -> Int8[np.ndarray, "N"]:
    """The label of every token."""
    length_N, source_N = document.copies
    band_N = 1 + np.searchsorted(_LAST, np.arange(len(source_N)) - source_N)
    return np.where(length_N > 0, band_N, 0).astype(np.int8)


FAMILY = by_position(
    name="copy_distance",
    question="How many tokens ago did the repetition that the token completes end last?",
    labels=LABELS,
    is_ordered=True,
    compile=compile,
)
