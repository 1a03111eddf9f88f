"""Rows read more or less often by how rare their tokens are: frequency-balanced sampling, with nothing changed on disk.

A row of mean rarity r, the mean -log frequency of its tokens in the training text, is worth exp(power · r). Worths are
scaled to mean 1 and cut at a cap; an epoch then draws as many rows as there are, each as often as it is worth, rounded
up or down (systematic resampling), so that over the epochs the mean is exact and no row waits longer than it must. A
row is a long document's piece or several short ones, so it is rows that are weighed.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from hybridlm.config.errors import require
from hybridlm.data.rows import Rows

_GOLDEN = (5**0.5 - 1) / 2
_AT_ONCE = 4096
"""Rows held in memory while all are read."""


def rarity(rows: Rows, counts_V: Int[np.ndarray, "V"]) -> Float[np.ndarray, "N"]:
    """Mean -log frequency of the tokens of every row, in nats; reads all rows once."""
    require(
        bool(counts_V.any()),
        "data.mixing asks for rare_power, and these data were prepared without counts of tokens, so nothing says which "
        "are rare; leave rare_power at 0.",
    )
    nats_V = np.log(counts_V.sum() + counts_V.size) - np.log(counts_V + 1.0)
    return np.concatenate(list(_rarity(rows, nats_V)))


def _rarity(rows: Rows, nats_V: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, len(rows), _AT_ONCE):
        batch = rows.read(range(first, min(first + _AT_ONCE, len(rows))))
        is_token_BT = batch["segment_ids"] > 0
        yield np.where(is_token_BT, nats_V[batch["tokens"]], 0).sum(1) / np.maximum(is_token_BT.sum(1), 1)


def repeats(rarity_N: Float[np.ndarray, "N"], power: float, cap: float) -> Float[np.ndarray, "N"]:
    """How often each row is read in a mean epoch: 1 on average, and at most `cap`."""
    from scipy import optimize  # slow to import, and few runs are balanced

    log_N = power * rarity_N
    log_N = log_N - log_N.max()

    def read(log_scale: float) -> np.ndarray:
        return np.exp(np.minimum(log_N + log_scale, np.log(cap)))

    return read(optimize.brentq(lambda log_scale: read(log_scale).mean() - 1, 0, np.log(cap) - log_N.min()))


@dataclasses.dataclass(frozen=True, eq=False)
class Resampled:
    """The slots of an epoch as rows. `ends_N`: the running sum of how often each row is read."""

    ends_N: Float[np.ndarray, "N"]
    shift: float

    @classmethod
    def of(cls, repeats_N: Float[np.ndarray, "N"], seed: int) -> "Resampled":
        """Whose first epoch begins at a point that the seed chooses."""
        return cls(np.cumsum(repeats_N) / repeats_N.sum() * len(repeats_N), np.random.default_rng(seed).random())

    def row(self, slot: int, epoch: int) -> int:
        """The row that a slot stands for; the points at which rows are picked turn from epoch to epoch."""
        point = slot + (self.shift + epoch * _GOLDEN) % 1
        return min(int(np.searchsorted(self.ends_N, point, side="right")), len(self.ends_N) - 1)
