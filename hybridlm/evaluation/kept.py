"""What an evaluation has done so far, on disk: arrays of every batch, and the sums over them.

So memory holds one batch at a time, and a call that was stopped goes on where the sums were last saved. They are saved
after a batch if that takes no more than a twentieth of the time, but not in the first minute: they may be large, and
what took less than that is read again.
"""

import io
import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from etils import epath

from hybridlm.data.directories import arriving
from hybridlm.data.retries import again
from hybridlm.storage import durable

REQUEST, SUMS = "request.txt", "sums.npz"
SHARE, SOONEST = 0.05, 60.0
"""How much of the time saving may take, and seconds before the first."""
_DONE = "batches done"

Arrays = dict[str, np.ndarray]


class Kept:
    """Arrays of batches in order, each in a file of its own; `sums` as they were saved, or None."""

    def __init__(self, directory: epath.PathLike, request: str):
        """`request` says what is evaluated and how; the first batch removes what is left of another one."""
        self._directory, self._request = epath.Path(directory), request
        is_saved = self._is_of(request) and (self._directory / SUMS).exists()
        self.sums = dict(_opened(self._directory / SUMS)) if is_saved else None
        self._count = int(self.sums.pop(_DONE)) if self.sums else 0
        self._due: float | None = None

    def __len__(self) -> int:
        """Batches that need not be read again."""
        return self._count

    def __iter__(self) -> Iterator[Mapping[str, np.ndarray]]:
        """The batches; of each, only arrays that are asked for are read."""
        return (_opened(self._path(number)) for number in range(self._count))

    def append(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Keeps the next batch."""
        if not self._count and not self._is_of(self._request):
            self._begin()
        _write(self._path(self._count), arrays)
        self._count += 1

    def save(self, sums: Callable[[], Arrays]) -> None:
        """Keeps the sums over all batches so far, if it is time."""
        begin = time.monotonic()
        self._due = begin + SOONEST if self._due is None else self._due
        if begin >= self._due:
            _write(self._directory / SUMS, {**sums(), _DONE: np.array(self._count)})
            self._due = time.monotonic() + (time.monotonic() - begin) / SHARE

    def remove(self) -> None:
        """Removes all that was kept."""
        self._directory.rmtree(missing_ok=True)

    def _begin(self) -> None:
        self._directory.rmtree(missing_ok=True)
        self._directory.mkdir(parents=True)
        durable.replace(self._directory / REQUEST, self._request)

    def _is_of(self, request: str) -> bool:
        path = self._directory / REQUEST
        return path.exists() and path.read_text() == request

    def _path(self, number: int) -> epath.Path:
        return self._directory / f"{number:06d}.npz"


def _opened(path: epath.Path) -> np.lib.npyio.NpzFile:
    return np.load(io.BytesIO(path.read_bytes()))


def _write(path: epath.Path, arrays: Mapping[str, np.ndarray]) -> None:
    """In one piece."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    with arriving(path) as place:
        again(path, lambda: place.write_bytes(buffer.getvalue()))
