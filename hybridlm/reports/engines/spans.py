"""Where tokens lie in the UTF-8 bytes of a text, from what engines tell: pieces of bytes, or offsets of characters."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from hybridlm.categories.alignment import byte_ends, utf8
from hybridlm.config.errors import require

Spans = tuple[Int[np.ndarray, "..."], Int[np.ndarray, "..."]]
"""Starts and ends of tokens, in bytes."""


def of_pieces(text: str, pieces: Sequence[bytes]) -> Spans:
    """From the bytes of every token, b"" for special ones; raises where they do not spell the text."""
    end_T = byte_ends(text, np.arange(len(pieces)), pieces)
    return np.append(0, end_T[:-1]).astype(np.int64)[: len(pieces)], end_T


def of_offsets(text: str, offsets: Sequence[tuple[int, int]]) -> Spans:
    """From the (start, end) characters of every token, as fast tokenizers give them; (0, 0) for special ones.

    Byte-level tokenizers give the whole of a character to each of its tokens: the last one keeps it, and the others get
    no bytes.
    """
    byte_of = np.cumsum([0, *(len(utf8(character)) for character in text)])
    pairs = np.asarray(offsets, np.int64).reshape(-1, 2)
    require(
        bool(((pairs >= 0) & (pairs <= len(text))).all() and (pairs[:, 0] <= pairs[:, 1]).all()),
        f"offsets must be spans of the {len(text)} characters of the text; do they count bytes, or belong to another "
        "text?",
    )
    start_T, end_T = byte_of[pairs].T
    before = np.append(0, np.maximum.accumulate(end_T))[:-1]  # how far the text is covered before each token
    start_T = np.where(end_T > start_T, start_T, before)
    end_T = np.maximum(start_T, end_T)
    next_T = np.append(start_T[1:], np.iinfo(np.int64).max)
    end_T = np.maximum(np.minimum(end_T, next_T), start_T)
    return _with_spaces(utf8(text), start_T, before), end_T


def _with_spaces(text: bytes, start_T: Int[np.ndarray, "T"], before: Int[np.ndarray, "T"]) -> Int[np.ndarray, "T"]:
    """Whitespace that no token covers goes with the token after it: some tokenizers trim it off their offsets."""
    start_T = start_T.copy()
    for n in np.flatnonzero(before < start_T):
        if not text[before[n] : start_T[n]].strip():
            start_T[n] = before[n]
    return start_T
