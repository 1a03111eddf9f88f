"""Content and function words of English: what a sentence is about, and what holds it together.

Function words are the closed classes; every other word is content, those of other languages and of code among them.
"""

import numpy as np
from jaxtyping import Int8

from hybridlm.categories import words
from hybridlm.categories.closed_class import class_of
from hybridlm.categories.document import Document
from hybridlm.categories.family import by_position

LABELS = {
    "not_a_word": "outside words",
    "content": "in a word of an open class: noun, verb, adjective, adverb, name",
    "function": "in a word of a closed class: determiner, pronoun, preposition, conjunction, auxiliary, not",
}


def compile(document: Document) -> Int8[np.ndarray, "P"]:
    """The label of every character."""
    labels = [2 if class_of(word) else 1 for word in document.words.distinct]
    return words.paint(document.words, labels, len(document.text))


FAMILY = by_position(
    name="word_class",
    question="Is the token part of a content or of a function word?",
    labels=LABELS,
    rule="first",
    compile=compile,
)
