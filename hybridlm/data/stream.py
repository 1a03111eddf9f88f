"""The training stream: the global batch of a step is a function of (seed, step), whoever asks and whenever.

The rows of a source, or all rows where sources are not mixed, are read once per epoch, in an order that is new in every
epoch. There is no state to save but the step.
"""

import collections
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import grain
import numpy as np

from hybridlm.config.errors import nearest, require
from hybridlm.config.sources import Mixing
from hybridlm.data.mixing import Mixture
from hybridlm.data.rows import Columns, Rows

READ_AHEAD = 4
"""Batches that `prefetch` reads before they are asked for."""

EVERYTHING = "all sources"
"""What the rows belong to where sources are not mixed."""


class TrainStream:
    """Batches of shuffled rows; process p of n reads rows p·B/n to (p+1)·B/n of the same global batch of B rows."""

    def __init__(
        self,
        rows: Rows,
        *,
        seed: int,
        batch_rows: int,
        mixing: Sequence[Mixing] = (),
        process_index: int = 0,
        process_count: int = 1,
    ):
        require(
            batch_rows % process_count == 0,
            f"training.batch_rows={batch_rows} must be a multiple of the number of processes, {process_count}: each "
            "reads an equal part of the global batch.",
        )
        self.rows = rows
        self._batch_rows = batch_rows
        self._own_rows = batch_rows // process_count
        self._first = process_index * self._own_rows
        self._ranges = rows.ranges if mixing else {EVERYTHING: (0, len(rows))}
        phases = {mix.from_step * batch_rows: mix.shares for mix in mixing} or {0: {EVERYTHING: 1.0}}
        self._check_sources(mixing)
        self._mixture = Mixture(list(self._ranges), phases)
        self._orders = [_order(name, *place, seed) for name, place in self._ranges.items()]

    def indices(self, step: int) -> list[int]:
        """Numbers of the rows that this process reads for a step."""
        first = step * self._batch_rows + self._first
        source_N, turn_N = self._mixture(np.arange(first, first + self._own_rows))
        return [self._orders[source][turn] for source, turn in zip(source_N.tolist(), turn_N.tolist())]

    def epochs(self, step: int) -> dict[str, float]:
        """How often the rows of every source, or all, have been read before a step."""
        drawn = self._mixture.drawn(step * self._batch_rows)
        return {name: drawn[name] / (stop - first) for name, (first, stop) in self._ranges.items()}

    def _check_sources(self, mixing: Sequence[Mixing]) -> None:
        for name in sorted({name for mix in mixing for name, share in mix.shares.items() if share}):
            require(
                name in self._ranges,
                f"data.mixing gives a share to {name!r}, but the training rows come from "
                f"{', '.join(map(repr, self._ranges))} alone{nearest(name, self._ranges)}",
            )

    def batch(self, step: int) -> Columns:
        """This process's part of the global batch of a step."""
        return self.rows.read(self.indices(step))

    def prefetch(self, start: int, stop: int) -> Iterator[Columns]:
        """The batches of steps start to stop - 1, read ahead in a thread that ends when the iterator is closed."""
        thread, pending = ThreadPoolExecutor(1, thread_name_prefix="prefetch"), collections.deque()
        try:
            for step in range(start, stop):
                pending.append(thread.submit(self.batch, step))
                if len(pending) > READ_AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            thread.shutdown(cancel_futures=True)


def _order(name: str, first: int, stop: int, seed: int) -> grain.MapDataset:
    """The rows of a source in the order of drawing, without end."""
    # A seed given to shuffle() itself would make epoch 1 of seed 3 equal to epoch 0 of seed 4.
    own = seed if name == EVERYTHING else zlib.crc32(f"{seed} {name}".encode())
    return grain.MapDataset.range(first, stop).seed(own).shuffle().repeat()
