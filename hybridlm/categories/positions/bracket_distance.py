"""How many tokens before a closing bracket its opening half stands: what a model must remember to close it."""

import numpy as np
from jaxtyping import Int8

from hybridlm.categories.document import Document
from hybridlm.categories.family import by_position

LABELS = {
    "no_close": "closes no pair",
    "same_token": "opened in the same token",
    "1_4": "opened 1 to 4 tokens before",
    "5_16": "5 to 16 tokens",
    "17_64": "17 to 64 tokens",
    "65_256": "65 to 256 tokens",
    "257_1024": "257 to 1,024 tokens",
    "beyond_1024": "more than 1,024 tokens",
}
_LAST = (0, 4, 16, 64, 256, 1024)


def compile(document: Document) -> Int8[np.ndarray, "N"]:
    """The label of every token; where one closes several pairs, the first counts."""
    brackets = document.brackets
    close_J = np.flatnonzero(~brackets.is_open_K & (brackets.partner_K >= 0))
    at_J = document.token_of(brackets.begin_K[close_J])
    distance_J = at_J - document.token_of(brackets.begin_K[brackets.partner_K[close_J]])
    tokens, first = np.unique(at_J, return_index=True)
    labels_N = np.zeros(len(document.ids_N), np.int8)
    labels_N[tokens] = 1 + np.searchsorted(_LAST, distance_J[first])
    return labels_N


FAMILY = by_position(
    name="bracket_distance",
    question="How many tokens ago was the bracket opened that the token closes?",
    labels=LABELS,
    is_ordered=True,
    compile=compile,
)
