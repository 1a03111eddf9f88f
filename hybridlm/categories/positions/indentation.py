"""Whether a line is indented more or less than the last one that was not blank; the column decides, in any language."""

import numpy as np
from jaxtyping import Int8

from hybridlm.categories import spans
from hybridlm.categories.document import Document
from hybridlm.categories.family import by_position

LABELS = {
    "not_line_start": "neither the leading whitespace of a line nor its first character; blank lines",
    "same": "the line begins in the same column as the one before",
    "indent": "the line begins further right",
    "dedent": "the line begins further left",
}
TAB = 8
"""Columns of a tab."""


def compile(document: Document) -> Int8[np.ndarray, "P"]:
    """The label of every character: that of its line in leading whitespace and at the first character, else 0."""
    points = document.points
    is_break, is_tab = points == ord("\n"), points == ord("\t")
    is_solid = ~(is_break | is_tab | (points == ord(" ")) | (points == ord("\r")))
    begins = np.append(0, 1 + np.flatnonzero(is_break))
    solid = np.append(np.flatnonzero(is_solid), len(points))
    firsts = solid[np.searchsorted(solid, begins)]
    has_text = firsts < np.append(begins[1:], len(points))
    begins, firsts = begins[has_text], firsts[has_text]
    widths = np.append(0, np.cumsum(np.where(is_tab, TAB, 1)))
    change = np.sign(np.diff(widths[firsts] - widths[begins], prepend=0))
    return spans.paint(len(points), begins, firsts + 1, np.array([1, 2, 3])[change])


FAMILY = by_position(
    name="indentation",
    question="Does the token begin a line, and further right or left than the line before?",
    labels=LABELS,
    rule="first",
    compile=compile,
)
