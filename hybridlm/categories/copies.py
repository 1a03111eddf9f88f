"""What of a document was there before: the longest repeated n-gram ending at each token, and where it ended last.

Instead of hashing, every n-gram gets a number: an n-gram is the pair of (n-1)-grams it is made of, and only those that
occur twice are looked at again. That is exact, and faster than a rolling hash, since few of them are left after n = 3.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Int8

LONGEST = 8


class Copies(NamedTuple):
    """Attributes:
    length_N: the largest k up to 8 such that the k tokens ending here also end at an earlier token of the document.
    source_N: the latest such earlier token, -1 where k is 0.
    """

    length_N: Int8[np.ndarray, "N"]
    source_N: Int[np.ndarray, "N"]


def find(ids_N: Int[np.ndarray, "N"]) -> Copies:
    """The copies within one document."""
    length_N, source_N = np.zeros(len(ids_N), np.int8), np.full(len(ids_N), -1)
    place, key = np.arange(len(ids_N)), ids_N.astype(np.int64)
    for length in range(1, LONGEST + 1):
        order = _stable_order(key)
        place, key = place[order], key[order]
        is_later = np.zeros(len(key), bool)
        is_later[1:] = key[1:] == key[:-1]
        later = np.flatnonzero(is_later)
        length_N[place[later]], source_N[place[later]] = length, place[later - 1]
        place, key = _longer(place, is_later, len(ids_N))
    return Copies(length_N, source_N)


def _stable_order(key: np.ndarray) -> np.ndarray:
    """The stable argsort; plain sorting of keys with their places packed in is several times faster, where they fit."""
    bits = len(key).bit_length()
    if int(key.max(initial=0)).bit_length() + bits > 63:
        return np.argsort(key, kind="stable")
    return np.sort(key << bits | np.arange(len(key))) & (1 << bits) - 1


def _longer(place: np.ndarray, is_later: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Ends of n-grams one token longer that may recur, and a number for each, from n-grams sorted by kind."""
    recurs = is_later.copy()
    recurs[:-1] |= is_later[1:]
    number_N = np.zeros(size, np.int64)
    number_N[place[recurs]] = np.cumsum(~is_later)[recurs]
    ends = 1 + np.flatnonzero(np.minimum(number_N[:-1], number_N[1:]))
    return ends, number_N[ends - 1] * (len(place) + 1) + number_N[ends]


def first_occurrences(copies: Copies, length: int) -> Int[np.ndarray, "N"]:
    """For every token that ends a repeated n-gram of this length, where the n-gram ended first; itself for others."""
    is_copy_N = copies.length_N >= length
    origin_N = np.where(is_copy_N, copies.source_N, np.arange(len(is_copy_N)))
    while is_copy_N[origin_N].any():
        origin_N = origin_N[origin_N]
    return origin_N


def recall_pairs(ids_N: Int[np.ndarray, "N"], length: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """(repeats, first occurrences) of the tokens that end an n-gram of this length: recall compares what both cost."""
    copies = find(ids_N)
    repeats = np.flatnonzero(copies.length_N >= length)
    return repeats, first_occurrences(copies, length)[repeats]


def continuations(ids_N: Int[np.ndarray, "N"]) -> Int[np.ndarray, "N"]:
    """How many different tokens have followed the previous token earlier in the document; 0 for the first token."""
    counts_N = np.zeros(len(ids_N), np.int64)
    if len(ids_N) > 2:
        previous = ids_N[:-1].astype(np.int64)
        order = _stable_order(previous)
        is_new = _is_new_bigram(ids_N)[order]
        seen_before = np.cumsum(is_new) - is_new
        begins = np.append(True, np.diff(previous[order]) != 0)
        counts_N[1 + order] = seen_before - seen_before[begins][np.cumsum(begins) - 1]
    return counts_N


def _is_new_bigram(ids_N: np.ndarray) -> np.ndarray:
    """Whether the bigram ending at token 1, 2, ... is seen for the first time."""
    ids_N = ids_N.astype(np.int64)
    bigram = ids_N[:-1] * (ids_N.max() + 1) + ids_N[1:]
    order = _stable_order(bigram)
    is_new = np.empty(len(bigram), bool)
    is_new[order] = np.append(True, np.diff(bigram[order]) != 0)
    return is_new
