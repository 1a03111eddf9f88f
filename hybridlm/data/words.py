"""How frequent the word is that a token belongs to: a label that, unlike token frequency, no tokenizer changes.

A word is a maximal run of letters, apostrophes inside it included, in lower case; its rank counts the training split.
"""

import collections
import functools
import sys
from collections.abc import Iterable

import numpy as np
from jaxtyping import Int, Int8

LABELS = ("not_a_word", "top_1k", "1k_10k", "10k_50k", "beyond_50k", "unseen")
"""Meaning of the values of the column `word_band`."""

_UPPER_RANKS = (1_000, 10_000, 50_000)

WordRanks = dict[str, int]
"""Word -> its rank from 0 by frequency in the training split."""


def rank(texts: Iterable[str]) -> WordRanks:
    """Ranks of all words of the texts, the alphabet deciding between equals."""
    counts = collections.Counter()
    for text in texts:
        counts.update(words(text))
    ordered = sorted(counts, key=lambda word: (-counts[word], word))
    return {word: place for place, word in enumerate(ordered)}


def words(text: str) -> list[str]:
    """The words of a text in order."""
    return _cut(text, *_spans(_code_points(text)))


def bands(text: str, token_ends_N: Int[np.ndarray, "N"], ranks: WordRanks) -> Int8[np.ndarray, "N"]:
    """Per token, the label of the word that its first letter belongs to.

    `token_ends_N` counts UTF-8 bytes from the start of the text.
    """
    code_points = _code_points(text)
    starts, ends = _spans(code_points)
    offsets = _byte_offsets(code_points)
    word_N = _first_word(offsets[starts], offsets[ends], token_ends_N)
    places = np.array([ranks.get(word, -1) for word in _cut(text, starts, ends)], np.int32)
    band = 1 + np.searchsorted(_UPPER_RANKS, places, side="right")
    band[places < 0] = LABELS.index("unseen")
    return np.append(band, LABELS.index("not_a_word")).astype(np.int8)[word_N]


def _cut(text: str, starts: np.ndarray, ends: np.ndarray) -> list[str]:
    plain = text.replace("’", "'")
    return [plain[start:end].lower() for start, end in zip(starts.tolist(), ends.tolist())]


def _first_word(starts, ends, token_ends_N):
    """Index of the first word with a byte in each token, -1 where there is none."""
    token_starts_N = np.append(0, token_ends_N[:-1])
    # The first word that ends behind the token's start is the only candidate.
    word_N = np.searchsorted(ends, token_starts_N, side="right")
    reaches_N = np.append(starts, sys.maxsize)[word_N] < token_ends_N
    return np.where(reaches_N & (token_starts_N < token_ends_N), word_N, -1)


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)


def _byte_offsets(code_points: np.ndarray) -> np.ndarray:
    widths = 1 + sum((code_points >= limit).astype(np.int64) for limit in (0x80, 0x800, 0x10000))
    return np.append(0, np.cumsum(widths))


def _spans(code_points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where words start and end, in characters."""
    is_letter = _letters()[code_points]
    is_word = is_letter.copy()
    is_apostrophe = (code_points == ord("'")) | (code_points == ord("’"))
    is_word[1:-1] |= is_apostrophe[1:-1] & is_letter[:-2] & is_letter[2:]
    edges = np.flatnonzero(np.diff(is_word, prepend=False, append=False))
    return edges[::2], edges[1::2]


@functools.cache
def _letters() -> np.ndarray:
    """For every code point, whether it is a letter."""
    return np.fromiter((chr(code).isalpha() for code in range(sys.maxunicode + 1)), bool, sys.maxunicode + 1)
