"""Whether a token opens or closes a bracket, and whether that bracket has another half.

Strings and comments hold no brackets; tags of HTML and XML and environments of TeX are brackets.
"""

import numpy as np
from jaxtyping import Int8

from hybridlm.categories import spans
from hybridlm.categories.document import Document
from hybridlm.categories.family import by_position

LABELS = {
    "no_bracket": "no bracket outside strings and comments",
    "unmatched_open": "opens what is never closed",
    "open": "opens a pair",
    "unmatched_close": "closes what was never opened",
    "close": "closes a pair, whatever else stands in the token",
}


def compile(document: Document) -> Int8[np.ndarray, "P"]:
    """The label of every character."""
    brackets = document.brackets
    role_K = 1 + 2 * ~brackets.is_open_K + (brackets.partner_K >= 0)
    return spans.paint(len(document.text), brackets.begin_K, brackets.end_K, role_K)


FAMILY = by_position(
    name="bracket_role",
    question="Does the token open or close a bracket, and is there another half?",
    labels=LABELS,
    rule="any",
    compile=compile,
)
