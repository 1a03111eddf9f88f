"""Which kind of number a token belongs to, in any language and in prose."""

import numpy as np
from jaxtyping import Int8

from hybridlm.categories.document import Document
from hybridlm.categories.family import by_position
from hybridlm.categories.numbers import KINDS

_DEFINITIONS = (
    "in no number",
    "whole number: 42",
    "number with a point: 3.14",
    "number with commas between thousands: 1,000",
    "number with an exponent: 1e-5",
    "hexadecimal, octal or binary: 0xff",
    "percentage, its sign included: 12.5%",
    "date or time of day in digits: 2024-05-01, 12:30",
    "version or address, with two points or more: 1.2.3",
    "digits that touch a word: x86, 3rd, 10kg",
)
LABELS = dict(zip(KINDS, _DEFINITIONS, strict=True))


def compile(document: Document) -> Int8[np.ndarray, "P"]:
    """The label of every character."""
    return document.number_kinds


FAMILY = by_position(
    name="number_kind",
    question="Which kind of number does the token belong to?",
    labels=LABELS,
    rule="first",
    compile=compile,
)
