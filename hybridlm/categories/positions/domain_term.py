"""Technical terms: words that the training split has far more often in one domain than elsewhere."""

import numpy as np
from jaxtyping import Int8

from hybridlm.categories import words
from hybridlm.categories.document import Document
from hybridlm.categories.family import by_position

LABELS = {
    "not_a_word": "outside words",
    "plain": "in a word that is a term of no domain",
    "foreign_term": "in a term of another domain than the document's",
    "own_term": "in a term of the document's domain",
}


def compile(document: Document) -> Int8[np.ndarray, "P"]:
    """The label of every character."""
    terms = document.lexicon.terms
    own, every = terms.get(document.language, frozenset()), frozenset().union(*terms.values())
    labels = [3 if word in own else 2 if word in every else 1 for word in document.words.distinct]
    return words.paint(document.words, labels, len(document.text))


FAMILY = by_position(
    name="domain_term",
    question="Is the token part of a technical term?",
    labels=LABELS,
    rule="first",
    needs="terms",
    compile=compile,
)
