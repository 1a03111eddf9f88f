"""Tokens of different tokenizers on one scale: the finest segments of text that all of them cut out whole.

A common cut is a byte that lies strictly inside no token of any reading. Between two of them every reading has whole
tokens, so a segment's cost is the sum of theirs, under each reading, and nothing is apportioned: sums are kept exactly.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

Spans = tuple[Int[np.ndarray, "..."], Int[np.ndarray, "..."]]
"""Starts and ends of tokens, in rising order and without overlap; a token may have no bytes."""


def common_cuts(spans: Sequence[Spans]) -> Int[np.ndarray, "K"]:
    """The bytes at which a token of one reading begins or ends, and no token of any is cut."""
    cuts = np.unique(np.concatenate([end for pair in spans for end in pair]))
    for start_T, end_T in spans:
        has_bytes_T = end_T > start_T
        start_T, end_T = start_T[has_bytes_T], end_T[has_bytes_T]
        before = np.searchsorted(start_T, cuts, side="left") - 1  # the last token that begins before the cut
        cuts = cuts[(before < 0) | (cuts >= end_T[before])]
    return cuts


def segment_of(start_T: Int[np.ndarray, "T"], cuts_K: Int[np.ndarray, "K"]) -> Int[np.ndarray, "T"]:
    """The segment, from its cut to the next, that each token lies in; one without bytes goes with what follows it."""
    return np.searchsorted(cuts_K, start_T, side="right") - 1


def costs(spans: Spans, score_T: Float[np.ndarray, "T"], cuts_K: Int[np.ndarray, "K"]) -> Float[np.ndarray, "K"]:
    """What each segment costs under one reading; NaN where it did not score every byte. The last cut begins none."""
    start_T, end_T = spans
    segment_T, is_scored_T = segment_of(start_T, cuts_K), np.isfinite(score_T)
    segment_T, bytes_T = segment_T[is_scored_T], (end_T - start_T)[is_scored_T]
    bytes_K = np.bincount(segment_T, bytes_T, minlength=len(cuts_K))
    total_K = np.bincount(segment_T, score_T[is_scored_T].astype(np.float64), minlength=len(cuts_K))
    return np.where(_is_whole(bytes_K, cuts_K), total_K, np.nan)


def _is_whole(bytes_K: Float[np.ndarray, "K"], cuts_K: Int[np.ndarray, "K"]) -> Bool[np.ndarray, "K"]:
    return (bytes_K == np.diff(cuts_K, append=cuts_K[-1])) & (bytes_K > 0)


def spread(spans: Spans, cost_K: Float[np.ndarray, "K"], cuts_K: Int[np.ndarray, "K"]) -> Float[np.ndarray, "T"]:
    """The costs of segments, divided among the tokens of one reading by bytes; a segment's parts sum to its cost."""
    start_T, end_T = spans
    segment_T = segment_of(start_T, cuts_K)
    length_K = np.maximum(np.diff(cuts_K, append=cuts_K[-1]), 1)
    return cost_K[segment_T] * (end_T - start_T) / length_K[segment_T]
