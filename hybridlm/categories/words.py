"""The words of a text: maximal runs of letters, apostrophes inside them included, in lower case."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Int8

from hybridlm.categories import spans
from hybridlm.categories.characters import among, code_points, table


class Words(NamedTuple):
    """The words of a text in order.

    Attributes:
      begins_J, ends_J: in characters. number_J: which of `distinct` each is; these stand in order of appearance.
    """

    begins_J: Int[np.ndarray, "J"]
    ends_J: Int[np.ndarray, "J"]
    number_J: Int[np.ndarray, "J"]
    distinct: tuple[str, ...]


def find(text: str) -> Words:
    """All words of a text."""
    begins_J, ends_J = _spans(code_points(text))
    plain, numbers = text.replace("’", "'"), {}
    found = zip(begins_J.tolist(), ends_J.tolist())
    number = [numbers.setdefault(plain[begin:end].lower(), len(numbers)) for begin, end in found]
    return Words(begins_J, ends_J, np.array(number, np.int64), tuple(numbers))


def paint(words: Words, label_of_distinct: Sequence[int] | np.ndarray, size: int) -> Int8[np.ndarray, "S"]:
    """For each of `size` characters the label of its word, 0 outside words."""
    return spans.paint(size, words.begins_J, words.ends_J, np.asarray(label_of_distinct, np.int8)[words.number_J])


def _spans(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    is_letter = table(str.isalpha)[points]
    is_word = is_letter.copy()
    is_apostrophe = among("'’")[points]
    is_word[1:-1] |= is_apostrophe[1:-1] & is_letter[:-2] & is_letter[2:]
    edges = np.flatnonzero(np.diff(is_word, prepend=False, append=False))
    return edges[::2], edges[1::2]
