"""A directory that appears whole or not at all, on a local disk or in a bucket.

Work happens beside the target under another name; it takes the target's name only when everything is in place.
"""

import contextlib
import errno
import hashlib
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from etils import epath

from hybridlm.config.errors import require


@contextlib.contextmanager
def whole(directory: epath.Path, *, last: str) -> Iterator[epath.Path]:
    """Yields an empty local directory whose files become those of `directory` if the block succeeds, and vanish if not.

    In a bucket, where nothing can be renamed, the file `last` is written after all others: without it nothing is there.
    """
    require(
        not directory.exists() or not any(directory.iterdir()),
        f"{directory} holds files but no {last}, so it is no prepared data and will not be overwritten; name another "
        "directory, or remove this one.",
    )
    with _beside(directory) as partial:
        try:
            yield partial
        except OSError as error:
            if error.errno == errno.ENOSPC or "No space left" in str(error):
                message = f"the disk is full; nothing was left in {directory}"
                raise OSError(errno.ENOSPC, message, str(partial)) from error
            raise
        _publish(partial, directory, last)


def local_copy(path: epath.Path, sha256: str) -> pathlib.Path:
    """The path itself, or for a file in a bucket a checked copy under the machine's temporary directory, made once."""
    if is_local(path):
        return pathlib.Path(path)
    copy = pathlib.Path(tempfile.gettempdir()) / "hybridlm" / sha256
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=copy.parent, delete=False) as arriving, path.open("rb") as remote:
            shutil.copyfileobj(remote, arriving)
        _keep(pathlib.Path(arriving.name), copy, sha256, path)
    return copy


def _keep(arrived: pathlib.Path, copy: pathlib.Path, sha256: str, origin: epath.Path) -> None:
    with arrived.open("rb") as stream:
        is_whole = hashlib.file_digest(stream, "sha256").hexdigest() == sha256
    if not is_whole:
        arrived.unlink()
        raise OSError(f"{origin} did not arrive as it was written: its SHA-256 is not the one recorded; try it again")
    arrived.replace(copy)


def is_local(path: epath.Path) -> bool:
    """Whether the path lies in the machine's own file system."""
    return "://" not in str(path)


@contextlib.contextmanager
def _beside(directory: epath.Path) -> Iterator[epath.Path]:
    if not is_local(directory):
        with tempfile.TemporaryDirectory() as partial:
            yield epath.Path(partial)
        return
    partial = directory.parent / f"{directory.name}.partial"
    partial.rmtree(missing_ok=True)  # a killed run may have left one
    partial.mkdir(parents=True)
    try:
        yield partial
    finally:
        partial.rmtree(missing_ok=True)


def _publish(partial: epath.Path, directory: epath.Path, last: str) -> None:
    if is_local(directory):
        if directory.exists():
            directory.rmdir()
        partial.rename(directory)
        return
    directory.mkdir(parents=True, exist_ok=True)
    for path in sorted(partial.iterdir(), key=lambda path: path.name == last):
        path.copy(directory / path.name)
