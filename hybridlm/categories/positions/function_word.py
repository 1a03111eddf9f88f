"""Which closed class of English the token's word belongs to."""

import numpy as np
from jaxtyping import Int8

from hybridlm.categories import words
from hybridlm.categories.closed_class import CLASSES, class_of
from hybridlm.categories.document import Document
from hybridlm.categories.family import by_position

LABELS = {"no_function_word": "outside words, or in a content word"} | {name: f"in a {name}" for name in CLASSES}


def compile(document: Document) -> Int8[np.ndarray, "P"]:
    """The label of every character."""
    index = {name: number for number, name in enumerate(("", *CLASSES))}
    labels = [index[class_of(word)] for word in document.words.distinct]
    return words.paint(document.words, labels, len(document.text))


FAMILY = by_position(
    name="function_word",
    question="Which kind of function word is the token part of?",
    labels=LABELS,
    rule="first",
    compile=compile,
)
