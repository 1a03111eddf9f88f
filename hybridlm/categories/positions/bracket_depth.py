"""How deep a token stands in matched brackets; a bracket counts as standing in its own pair."""

import numpy as np
from jaxtyping import Int8

from hybridlm.categories import brackets
from hybridlm.categories.document import Document
from hybridlm.categories.family import by_position

LABELS = {
    "no_text": "stands for no text: begin, end, padding",
    "0": "outside all brackets",
    "1": "in one pair",
    "2": "in two pairs",
    "3": "in three pairs",
    "4_or_more": "in four pairs or more",
}


def compile(document: Document) -> Int8[np.ndarray, "P"]:
    """The label of every character."""
    depths = brackets.depths(document.brackets, len(document.text))
    return (1 + np.minimum(depths, 4)).astype(np.int8)


FAMILY = by_position(
    name="bracket_depth",
    question="In how many pairs of brackets does the token stand?",
    labels=LABELS,
    rule="majority",
    is_ordered=True,
    compile=compile,
)
