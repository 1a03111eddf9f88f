"""Held-out text that training holds too: documents mostly made of it go, and the rest is counted.

Lines are compared with their indentation; how long they must be, and what is most of a document, is as in
`hybridlm.data`, which compares them without it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from experiments.standard_corpus.texts import Document
from hybridlm.data.audit import SHORTEST_LINE
from hybridlm.data.overlap import MOSTLY


class Kept(NamedTuple):
    """The documents that stay, how many went, and of the held-out lines that stay how many stand in training."""

    documents: list[Document]
    dropped: int
    lines: int
    seen: int


def without_memory(documents: Sequence[Document]) -> Kept:
    """Leaves out held-out documents more than half of whose longer lines stand in training."""
    training = {line for document in documents if document.split == "train" for line in _lines(document.text)}
    kept, lines, seen = [], 0, 0
    for document in documents:
        own = _lines(document.text) if document.split != "train" else []
        known = sum(line in training for line in own)
        if known <= MOSTLY * len(own):
            kept.append(document)
            lines, seen = lines + len(own), seen + known
    return Kept(kept, len(documents) - len(kept), lines, seen)


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if len(line) >= SHORTEST_LINE]
