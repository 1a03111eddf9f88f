"""The characters of a text as an array of code points, and tables that say something of every code point."""

import functools
import sys
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, UInt32


def code_points(text: str) -> UInt32[np.ndarray, "P"]:
    """The number of every character."""
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)


@functools.cache
def table(is_so: Callable[[str], bool]) -> Bool[np.ndarray, "P"]:
    """For every code point, whether `is_so`: a method of `str` such as `str.isalpha`."""
    return np.fromiter(map(is_so, map(chr, range(sys.maxunicode + 1))), bool, sys.maxunicode + 1)


@functools.cache
def among(characters: str) -> Bool[np.ndarray, "P"]:
    """For every code point, whether it is one of these characters."""
    is_among = np.zeros(sys.maxunicode + 1, bool)
    is_among[code_points(characters)] = True
    return is_among
