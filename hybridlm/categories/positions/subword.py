"""Which piece of its word a token is. The label looks one token ahead; no model is ever fed it."""

import numpy as np
from jaxtyping import Int8

from hybridlm.categories.document import Document
from hybridlm.categories.family import by_position

LABELS = {
    "not_a_word": "holds no letter of a word",
    "whole": "holds a whole word",
    "first": "holds the beginning of a word, not its end",
    "middle": "holds neither beginning nor end of its word",
    "last": "holds the end of a word that began before",
}


def compile(document: Document) -> Int8[np.ndarray, "N"]:
    """The label of every token; where it touches several words, the first counts."""
    ends_N = document.ends_N
    begins_N = np.append(0, ends_N[:-1])
    begin_J = np.append(document.byte_of(document.words.begins_J), len(document.bytes_S) + 1)
    end_J = np.append(document.byte_of(document.words.ends_J), len(document.bytes_S) + 1)
    word_N = np.searchsorted(end_J, begins_N, side="right")
    has_begin_N, has_end_N = begin_J[word_N] >= begins_N, end_J[word_N] <= ends_N
    label_N = np.select([has_begin_N & has_end_N, has_begin_N, has_end_N], [1, 2, 4], 3)
    is_in_word_N = (begin_J[word_N] < ends_N) & (begins_N < ends_N)
    return np.where(is_in_word_N, label_N, 0).astype(np.int8)


FAMILY = by_position(
    name="subword",
    question="Which piece of its word is the token?",
    labels=LABELS,
    compile=compile,
)
