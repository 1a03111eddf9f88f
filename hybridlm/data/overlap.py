"""How much of the held-out text was trained on: the share of its longer lines that stand in the training split too.

Lines are compared by 8-byte hashes. Those of the held-out lines are kept, twice; training text only passes by.
"""

import array
import dataclasses
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Int

from hybridlm.config.errors import require
from hybridlm.config.sources import DROP, FAIL
from hybridlm.data.audit import SHORTEST_LINE, Overlap
from hybridlm.data.corpus import Corpus, keep_only
from hybridlm.data.documents import Document, Entry
from hybridlm.data.progress import Progress, remark

MOST_OVERLAP = 0.2
"""Share of a split's lines above which there is a warning."""

MOSTLY = 0.5
"""Share of a document's longer lines above which it is memory rather than held-out text."""

REASON = "held out, but mostly lines of training"

_LAST = np.iinfo(np.int64).max


def audited(corpus: Corpus, progress: Progress) -> Corpus:
    """The corpus with the overlap of every held-out split with training, which is said, with a warning if it is large.

    Held-out documents that are mostly made of training lines go as `audit.seen` says.
    """
    if not corpus.bytes("train"):
        return corpus
    held_out = [entry for entry in corpus.entries if entry.split != "train"]
    lines_N, seen_N = _counts(corpus, held_out, progress)
    is_memory_N = seen_N > MOSTLY * lines_N
    is_left_N = _left(corpus.audit.seen, held_out, is_memory_N)
    if not is_left_N.all():
        kept = {entry for entry, is_left in zip(held_out, is_left_N) if is_left} | set(corpus.within("train"))
        corpus = keep_only(corpus, kept, REASON)
    found, split_N = {}, np.array([entry.split for entry in held_out])
    for split in sorted(set(split_N[is_left_N].tolist())):
        here_N = is_left_N & (split_N == split)
        samples = [held_out[n].id for n in np.flatnonzero(here_N & is_memory_N)]
        lines, seen = int(lines_N[here_N].sum()), int(seen_N[here_N].sum())
        found[split] = Overlap(lines, seen, seen / max(1, lines), len(samples), next(iter(samples), ""))
        _report(split, found[split], progress)
    return dataclasses.replace(corpus, overlap=found)


def _counts(
    corpus: Corpus, held_out: Sequence[Entry], progress: Progress
) -> tuple[Int[np.ndarray, "N"], Int[np.ndarray, "N"]]:
    """How many longer lines every held-out document has, and how many of these stand in training."""
    with progress("comparing held-out lines", corpus.bytes()) as advance:
        hashes_L, owner_L = _lines(corpus.documents(held_out), advance)
        known_K = np.unique(np.append(hashes_L, _LAST))
        is_seen_K = _is_seen(known_K, corpus.texts("train", advance=advance))
    is_seen_L = is_seen_K[np.searchsorted(known_K, hashes_L)]
    return np.bincount(owner_L, minlength=len(held_out)), np.bincount(owner_L[is_seen_L], minlength=len(held_out))


def _left(policy: str, held_out: Sequence[Entry], is_memory_N: Bool[np.ndarray, "N"]) -> Bool[np.ndarray, "N"]:
    """Which held-out documents stay; raises ConfigError where the policy allows none to be memory, or none is left."""
    first = held_out[int(is_memory_N.argmax())].id if is_memory_N.any() else ""
    require(
        policy != FAIL or not first,
        f"document {first!r} is held out, and more than half of its longer lines stand in training, as of "
        f"{int(is_memory_N.sum())} held-out documents, and data.audit.seen='fail' allows none. Put documents that "
        "share text into one 'group', or set data.audit.seen='drop' to leave these out, counted.",
    )
    is_left_N = ~is_memory_N if policy == DROP else np.ones_like(is_memory_N)
    lost = {entry.split for entry in held_out} - {entry.split for entry, is_left in zip(held_out, is_left_N) if is_left}
    require(
        not lost,
        f"every document of {', '.join(sorted(lost))} is mostly made of lines that stand in training, so that "
        "data.audit.seen='drop' leaves nothing of it. Put documents that share text into one 'group'.",
    )
    return is_left_N


def _lines(
    documents: Iterable[tuple[Entry, Document]], advance: Callable[[int], None]
) -> tuple[Int[np.ndarray, "L"], Int[np.ndarray, "L"]]:
    """The hash of every longer line of the documents, and the number of the document it stands in."""
    hashes, owners = array.array("q"), array.array("q")
    for number, (entry, document) in enumerate(documents):
        hashes.extend(_hashes(document.text))
        owners.extend([number] * (len(hashes) - len(owners)))
        advance(entry.bytes)
    return np.array(hashes, np.int64), np.array(owners, np.int64)


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


def _report(split: str, overlap: Overlap, progress: Progress) -> None:
    line = f"{split}: {overlap.line}"
    if overlap.share <= MOST_OVERLAP:
        remark(progress, line)
        return
    warnings.warn(
        f"{line}, more than {MOST_OVERLAP:.0%}: scores on {split} will partly show memory. Put documents that share "
        "text into one 'group', or remove what they share.",
        stacklevel=4,
    )
