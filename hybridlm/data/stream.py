"""The training stream: the global batch of a step is a function of (seed, step), whoever asks and whenever.

All rows are read once per epoch, in an order that is new in every epoch; there is no state to save but the step.
"""

import collections
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grain

from hybridlm.config.errors import require
from hybridlm.data.rows import Columns, Rows

READ_AHEAD = 4
"""Batches that `prefetch` reads before they are asked for."""


class TrainStream:
    """Batches of shuffled rows; process p of n reads rows p·B/n to (p+1)·B/n of the same global batch of B rows."""

    def __init__(self, rows: Rows, *, seed: int, batch_rows: int, process_index: int = 0, process_count: int = 1):
        require(
            batch_rows % process_count == 0,
            f"training.batch_rows={batch_rows} must be a multiple of the number of processes, {process_count}: each "
            "reads an equal part of the global batch.",
        )
        self.rows = rows
        self._batch_rows = batch_rows
        self._own_rows = batch_rows // process_count
        self._first = process_index * self._own_rows
        # A seed given to shuffle() itself would make epoch 1 of seed 3 equal to epoch 0 of seed 4.
        self._order = grain.MapDataset.range(len(rows)).seed(seed).shuffle().repeat()

    def indices(self, step: int) -> list[int]:
        """Numbers of the rows that this process reads for a step."""
        first = step * self._batch_rows + self._first
        return [self._order[place] for place in range(first, first + self._own_rows)]

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
