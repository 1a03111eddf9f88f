"""The training stream: the global batch of a step is a function of (seed, step), whoever asks and whenever.

The rows of a source, or all rows where sources are not mixed, are read once per epoch, in an order that is new in every
epoch; where `mixing` has a rare_power, some are read more often than others. There is no state to save but the step.
"""

import contextlib
import queue
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future

import grain
import numpy as np
from jaxtyping import Float, Int

from hybridlm.config.errors import nearest, require
from hybridlm.config.sources import Mixing
from hybridlm.data.balance import Resampled, repeats
from hybridlm.data.mixing import Mixture
from hybridlm.data.rows import Columns, Rows

READ_AHEAD = 4
"""Batches that `prefetch` reads before they are asked for."""
_POLL, _PATIENCE = 0.2, 1.0
"""Seconds between two looks at a queue, and that a closed iterator waits for a read that goes on."""

EVERYTHING = "all sources"
"""What the rows belong to where sources are not mixed."""


class TrainStream:
    """Batches of shuffled rows. `own_rows` are the places in the global batch that this process reads; else all.

    `rarity_N` of every row is `balance.rarity`, needed where `mixing` has a rare_power.
    """

    def __init__(
        self,
        rows: Rows,
        *,
        seed: int,
        batch_rows: int,
        mixing: Sequence[Mixing] = (),
        rarity_N: Float[np.ndarray, "N"] | None = None,
        own_rows: Sequence[int] | None = None,
    ):
        self.rows = rows
        self._batch_rows = batch_rows
        self._all_N = np.arange(batch_rows)
        self._own_N = self._all_N if own_rows is None else np.asarray(own_rows)
        self._ranges = rows.ranges if mixing else {EVERYTHING: (0, len(rows))}
        phases = {mix.from_step * batch_rows: mix.shares for mix in mixing} or {0: {EVERYTHING: 1.0}}
        self._check_sources(mixing)
        self._mixture = Mixture(list(self._ranges), phases)
        self._orders = [_order(name, *place, seed) for name, place in self._ranges.items()]
        self._resampled = {
            (phase, source): Resampled.of(repeats(rarity_N[first:stop], mix.rare_power, mix.rare_cap), seed)
            for phase, mix in enumerate(mixing)
            for source, (first, stop) in enumerate(self._ranges.values())
            if mix.rare_power
        }

    def indices(self, step: int) -> list[int]:
        """Numbers of the rows that this process reads for a step."""
        return self._numbers(step * self._batch_rows + self._own_N)

    def global_indices(self, step: int) -> list[int]:
        """Numbers of the rows that all processes together read for a step."""
        return self._numbers(step * self._batch_rows + self._all_N)

    def _numbers(self, place_N: Int[np.ndarray, "N"]) -> list[int]:
        columns = (self._mixture.phase(place_N), *self._mixture(place_N))
        return [self._row(*numbers) for numbers in zip(*(column.tolist() for column in columns), strict=True)]

    def _row(self, phase: int, source: int, turn: int) -> int:
        """The row that a source gives on its turn."""
        row = self._orders[source][turn]
        if (phase, source) not in self._resampled:
            return row
        first, stop = list(self._ranges.values())[source]
        return first + self._resampled[phase, source].row(row - first, turn // (stop - first))

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

    def prefetch(self, start: int, stop: int, on_wait: Callable[[], None] = lambda: None) -> Iterator[Columns]:
        """The batches of steps start to stop - 1, read ahead in a thread that ends when the iterator is closed.

        `on_wait` is called several times a second while a batch is not there yet; what it raises ends the wait.
        """
        ready, is_closed = queue.Queue(READ_AHEAD), threading.Event()

        def read():
            for step in range(start, stop):
                if not _offer(ready, self._read_ahead(step), is_closed):
                    return

        # a daemon: a read that hangs must not keep a process from ending
        thread = threading.Thread(target=read, name="prefetch", daemon=True)
        thread.start()
        try:
            for _ in range(start, stop):
                yield _taken(ready, on_wait).result()
        finally:
            is_closed.set()
            thread.join(_PATIENCE)

    def _read_ahead(self, step: int) -> Future:
        """The batch, or the error that reading it raised."""
        future = Future()
        try:
            future.set_result(self.batch(step))
        except Exception as error:
            future.set_exception(error)
        return future


def _offer(ready: queue.Queue, item: Future, is_closed: threading.Event) -> bool:
    """Puts an item into the queue as soon as there is room; False once nobody wants it."""
    while not is_closed.is_set():
        with contextlib.suppress(queue.Full):
            ready.put(item, timeout=_POLL)
            return True
    return False


def _taken(ready: queue.Queue, on_wait: Callable[[], None]) -> Future:
    while True:
        with contextlib.suppress(queue.Empty):
            return ready.get(timeout=_POLL)
        on_wait()


def _order(name: str, first: int, stop: int, seed: int) -> grain.MapDataset:
    """The rows of a source in the order of drawing, without end."""
    # A seed given to shuffle() itself would make epoch 1 of seed 3 equal to epoch 0 of seed 4.
    own = seed if name == EVERYTHING else zlib.crc32(f"{seed} {name}".encode())
    return grain.MapDataset.range(first, stop).seed(own).shuffle().repeat()
