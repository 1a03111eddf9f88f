"""Where Orbax writes and reads a checkpoint: in its own place, or on the local disk for a store that it does not know.

Orbax (0.12.4) addresses local files and gs:// alone. In another store a step is written to the local disk and copied
before it is sealed, and fetched before it is read. That is for one process: what several write, Orbax joins on files
that all of them see.
"""

import concurrent.futures
import contextlib
import shutil
import tempfile
from collections.abc import Iterator

from etils import epath

from hybridlm.data.directories import is_local
from hybridlm.data.retries import again
from hybridlm.storage import durable

_PREFIX = "hybridlm-checkpoint-"


def is_needed(path: epath.Path) -> bool:
    """Can Orbax not write there itself?"""
    return not is_local(path) and not str(path).startswith("gs://")


class Outgoing:
    """A step on its way: `place` is where it is to be written."""

    def __init__(self, step: epath.Path):
        self._step = step
        self._disk = epath.Path(tempfile.mkdtemp(prefix=_PREFIX)) if is_needed(step) else None
        self.place = self._disk / step.name if self._disk else step

    def deliver(self) -> None:
        """Brings what was written where it belongs."""
        if self._disk:
            _copy(self.place, self._step)

    def close(self) -> None:
        """Frees the local disk; what was delivered stays."""
        if self._disk:
            self._disk.rmtree(missing_ok=True)


@contextlib.contextmanager
def fetched(step: epath.Path) -> Iterator[epath.Path]:
    """Where a step can be read: itself, or a copy for as long as the block lasts."""
    if not is_needed(step):
        yield step
        return
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as disk:
        here = epath.Path(disk) / step.name
        _copy(step, here)
        yield here


def _copy(directory: epath.Path, to: epath.Path) -> None:
    """All files below a directory, many at once; none is ever whole in memory."""
    remote = directory if is_needed(directory) else to
    names = [path.relative_to(directory) for path in durable.files(directory)]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for _ in pool.map(lambda name: again(remote / name, lambda: _copy_file(directory / name, to / name)), names):
            pass  # asking for it raises what went wrong


def _copy_file(path: epath.Path, to: epath.Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    with path.open("rb") as source, to.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 24)
