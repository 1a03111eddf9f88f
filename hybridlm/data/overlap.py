"""How much of the held-out text was trained on: the share of its longer lines that stand in the training split too.

Lines are compared by 8-byte hashes. Those of the held-out lines are kept, twice; training text only passes by.
"""

import array
import warnings
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from jaxtyping import Bool, Int

from hybridlm.data.audit import SHORTEST_LINE, Overlap
from hybridlm.data.corpus import Corpus
from hybridlm.data.progress import Progress, remark

MOST_OVERLAP = 0.2
"""Share of a split's lines above which there is a warning."""

_LAST = np.iinfo(np.int64).max


def measure(corpus: Corpus, progress: Progress) -> dict[str, Overlap]:
    """The overlap of every held-out split with the training split; says it, and warns where it is large."""
    if not corpus.bytes("train"):
        return {}
    with progress("comparing held-out lines", corpus.bytes()) as advance:
        hashes = _held_out(corpus, advance)
        known_K = np.unique(np.concatenate([*hashes.values(), np.array([_LAST])]))
        is_seen_K = _is_seen(known_K, corpus.texts("train", advance=advance))
    found = {split: _overlap(is_seen_K[np.searchsorted(known_K, hashes_L)]) for split, hashes_L in hashes.items()}
    for split, overlap in found.items():
        _report(split, overlap, progress)
    return found


def _held_out(corpus: Corpus, advance: Callable[[int], None]) -> dict[str, Int[np.ndarray, "L"]]:
    splits = sorted({entry.split for entry in corpus.entries} - {"train"})
    found = {split: array.array("q") for split in splits}
    for entry, document in corpus.documents(*splits):
        found[entry.split].extend(_hashes(document.text))
        advance(entry.bytes)
    return {split: np.array(hashes, np.int64) for split, hashes in found.items()}


def _is_seen(known_K: Int[np.ndarray, "K"], texts: Iterable[str]) -> Bool[np.ndarray, "K"]:
    """Which of the sorted hashes are of a line in the texts; the last is the largest there is, so each has a place."""
    is_seen_K = np.zeros(len(known_K), bool)
    for text in texts:
        hashes_L = np.fromiter(_hashes(text), np.int64)
        place_L = np.searchsorted(known_K, hashes_L)
        is_seen_K[place_L[known_K[place_L] == hashes_L]] = True
    return is_seen_K


def _hashes(text: str) -> Iterator[int]:
    """Python's own hash differs between processes, but none of these outlives its process."""
    return (hash(stripped) for line in text.split("\n") if len(stripped := line.strip()) >= SHORTEST_LINE)


def _overlap(is_seen_L: Bool[np.ndarray, "L"]) -> Overlap:
    seen = int(is_seen_L.sum())
    return Overlap(len(is_seen_L), seen, seen / max(1, len(is_seen_L)))


def _report(split: str, overlap: Overlap, progress: Progress) -> None:
    line = f"{split}: {overlap.line}"
    remark(progress, line)
    if overlap.share > MOST_OVERLAP:
        warnings.warn(
            f"{line}, more than {MOST_OVERLAP:.0%}: scores on {split} will partly show memory. Put documents that "
            "share text into one 'group', or remove what they share.",
            stacklevel=4,
        )
