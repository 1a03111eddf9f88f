"""How often training text had two ids in a row, in a table of fixed size: pairs that share a slot share their count."""

import dataclasses
from collections.abc import Iterable

import numpy as np
from jaxtyping import Int, UInt32

SLOTS = 1 << 22
_MIX = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: multiplying by it spreads consecutive pairs over the slots."""


@dataclasses.dataclass(frozen=True, eq=False)
class Bigrams:
    """Attributes: counts_H, never too low and too high where pairs collide. total of all bigrams counted."""

    counts_H: UInt32[np.ndarray, "H"]
    total: int

    def per_million(self, ids_N: Int[np.ndarray, "N"]) -> np.ndarray:
        """How often the bigram ending at token 1, 2, ... stands among a million of training."""
        return self.counts_H[_slots(ids_N, len(self.counts_H))] * (1e6 / max(self.total, 1))


def count(documents: Iterable[Int[np.ndarray, "N"]], slots: int = SLOTS) -> Bigrams:
    """Counts the bigrams within each document."""
    counts_H = np.zeros(slots, np.uint32)
    total = 0
    for ids_N in documents:
        np.add.at(counts_H, _slots(ids_N, slots), 1)
        total += max(0, len(ids_N) - 1)
    return Bigrams(counts_H, total)


def _slots(ids_N: np.ndarray, slots: int) -> np.ndarray:
    ids_N = ids_N.astype(np.uint64)
    mixed = ((ids_N[:-1] << np.uint64(32)) + ids_N[1:]) * _MIX
    return ((mixed >> np.uint64(32)) % np.uint64(slots)).astype(np.int64)
