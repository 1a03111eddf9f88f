"""Pairs of tokens that the document has had before: whoever remembers the document knows them, and for rare pairs
nobody else does (the hits of associative recall of Arora et al. 2023, arXiv 2312.04927)."""

import numpy as np
from jaxtyping import Int8

from hybridlm.categories.document import Document
from hybridlm.categories.family import by_position

LABELS = {
    "no_text": "stands for no text: begin, end, padding",
    "no_hit": "the pair of the previous and this token is new to the document",
    "common_hit": "the pair stood earlier in the document, and training text has it often too",
    "rare_hit": "the pair stood earlier in the document, and at most once in a million pairs of training text",
}
_RARE_PER_MILLION = 1


def compile(document: Document) -> Int8[np.ndarray, "N"]:
    """The label of every token."""
    is_rare_N = np.append(False, document.lexicon.bigrams.per_million(document.ids_N) <= _RARE_PER_MILLION)
    is_hit_N = document.copies.length_N >= 2
    return (1 + is_hit_N + (is_hit_N & is_rare_N[: len(is_hit_N)])).astype(np.int8)


FAMILY = by_position(
    name="associative_recall",
    question="Has the document had the pair of the previous and this token before, and is it rare elsewhere?",
    labels=LABELS,
    needs="bigrams",
    compile=compile,
)
