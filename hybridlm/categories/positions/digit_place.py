"""Which place a digit has in its number: leading digits carry the size, units are close to noise.

Dates, versions and the like count each run of digits by itself; commas between thousands do not end a number.
"""

import numpy as np
from jaxtyping import Int8

from hybridlm.categories import numbers, spans
from hybridlm.categories.document import Document
from hybridlm.categories.family import by_position
from hybridlm.categories.numbers import KINDS

LABELS = {
    "no_digit": "no decimal digit",
    "only": "the whole part is this one digit",
    "leading": "the first of several digits",
    "inner": "between the first and the last",
    "unit": "the last of several digits before the point",
    "first_decimal": "the first digit after the point",
    "later_decimal": "a later digit after the point",
}
_ONLY, _LEADING, _INNER, _UNIT, _FIRST_DECIMAL, _LATER_DECIMAL = range(1, len(LABELS))


def compile(document: Document) -> Int8[np.ndarray, "P"]:
    """The label of every character."""
    kinds = document.number_kinds
    begins, ends = numbers.digit_runs(document.text)
    sizes, points = ends - begins, np.append(document.points, 0)
    is_fraction = numbers.is_fraction(document.text, begins, kinds)
    is_grouped = kinds[begins] == KINDS.index("grouped")
    goes_on = is_grouped & (begins > 0) & (points[begins - 1] == ord(",")) & ~is_fraction
    will_go_on = np.append(goes_on[1:], False) & (points[ends] == ord(","))
    labels = spans.paint(len(kinds), begins, ends, np.where(is_fraction, _LATER_DECIMAL, _INNER))
    labels[begins[~goes_on]] = np.where(is_fraction, _FIRST_DECIMAL, _LEADING)[~goes_on]
    is_unit = ~is_fraction & ~will_go_on
    labels[ends[is_unit] - 1] = np.where((sizes == 1) & ~goes_on, _ONLY, _UNIT)[is_unit]
    return labels


FAMILY = by_position(
    name="digit_place",
    question="Which place in its number does the token's first digit have?",
    labels=LABELS,
    rule="first",
    compile=compile,
)
