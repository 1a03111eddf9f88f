"""A directory that appears whole or not at all, on a local disk or in a bucket.

Work happens beside the target under another name; it takes the target's name only when everything is in place.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence

from etils import epath

from hybridlm.config.errors import ConfigError, require
from hybridlm.data.retries import again

WORK = "work"
"""Where, in a directory that is being made, that lies which nobody needs once it is whole."""

_RECIPE, _LOCK = "recipe.json", "lock"
_ARRIVING = "arriving"
"""Lies in a directory of a bucket while files are copied there: what was cut off may begin again."""


@contextlib.contextmanager
def whole(directory: epath.Path, *, last: str, recipe: Mapping[str, object]) -> Iterator[epath.Path]:
    """Yields a local directory to fill; if the block succeeds it becomes `directory`, without its part `WORK`.

    What a failure or a kill leaves stays beside the target, and is there again for the next one with the same recipe,
    whoever that is; another recipe begins anew. In a bucket, where nothing can be renamed, the file `last` is written
    after all others: without it nothing is there, and what was being copied when a process ended is copied again.
    """
    require(
        not directory.exists() or not any(directory.iterdir()) or (directory / _ARRIVING).exists(),
        f"{directory} holds files but no {last}, so it is no prepared data and will not be overwritten; name another "
        "directory, or remove this one.",
    )
    made = [parent for parent in directory.parents if is_local(directory) and not parent.exists()]
    with _beside(directory, json.dumps(recipe, sort_keys=True)) as partial:
        try:
            yield partial
        except ConfigError:
            if [path.name for path in (partial / WORK).iterdir()] == [_RECIPE]:
                partial.rmtree()  # refused before anything was made
                _remove_empty(made)
            raise
        except OSError as error:
            if error.errno == errno.ENOSPC or "No space left" in str(error):
                message = (
                    f"the disk is full, and nothing is in {directory} yet. What is done stays where this error points; "
                    "free some space and give the same command again, or remove it"
                )
                raise OSError(errno.ENOSPC, message, str(partial)) from error
            raise


def check_free(directory: epath.Path, flag: str) -> None:
    """Raises ConfigError where a file stands in the way of a directory that a flag names."""
    for path in (directory, *directory.parents) if is_local(directory) else ():
        require(
            path.is_dir() or not path.exists(),
            f"{flag}={directory}: {path} is a file, and a directory is needed there; choose another name.",
        )


@contextlib.contextmanager
def making(directory: epath.Path) -> Iterator[None]:
    """The directory is there in the block; what fails before anything lies in it leaves no trace."""
    new = [path for path in (directory, *directory.parents) if is_local(directory) and not path.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        _remove_empty(new)
        raise


@contextlib.contextmanager
def published(partial: epath.Path, directory: epath.Path, last: str) -> Iterator[None]:
    """Gives the directory its name when the block succeeds; raises ConfigError while another process is about it."""
    with (pathlib.Path(partial) / WORK / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"another process is preparing {directory} right now; wait for it, or name another directory."
            ) from error
        yield
        (partial / WORK).rmtree()
        _publish(partial, directory, last)


def once(path: epath.Path, write: Callable[[epath.Path], None]) -> None:
    """Makes a file or directory if it is not there: under another name first, so that it is whole or absent."""
    if path.exists():
        return
    fresh = path.parent / f"{path.name}.{os.getpid()}"
    write(fresh)
    if path.exists():  # somebody else was as quick, and made the same
        fresh.rmtree() if fresh.is_dir() else fresh.unlink()
    else:
        fresh.rename(path)


@contextlib.contextmanager
def arriving(path: epath.Path) -> Iterator[epath.Path]:
    """Yields where to write a file so that it appears whole: beside it, or in an object store, which does so itself."""
    if not is_local(path):
        yield path
        return
    temporary = path.with_name(f"{path.name}.tmp")
    yield temporary
    temporary.replace(path)


def local_copy(path: epath.Path, sha256: str) -> pathlib.Path:
    """The path itself, or for a file in a bucket a checked copy under the machine's temporary directory, made once."""
    if is_local(path):
        return pathlib.Path(path)
    copy = pathlib.Path(tempfile.gettempdir()) / "hybridlm" / sha256
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        again(path, lambda: _fetch(path, copy, sha256))
    return copy


def _fetch(path: epath.Path, copy: pathlib.Path, sha256: str) -> None:
    with tempfile.TemporaryDirectory(dir=copy.parent) as place:
        arrived = pathlib.Path(place) / copy.name
        with arrived.open("wb") as stream, path.open("rb") as remote:
            shutil.copyfileobj(remote, stream)
        with arrived.open("rb") as stream:
            is_whole = hashlib.file_digest(stream, "sha256").hexdigest() == sha256
        if not is_whole:
            raise OSError(f"{path} did not arrive as it was written: its SHA-256 is not the one recorded; try it again")
        arrived.replace(copy)


def is_local(path: epath.Path) -> bool:
    """Whether the path lies in the machine's own file system."""
    return "://" not in str(path)


@contextlib.contextmanager
def _beside(directory: epath.Path, recipe: str) -> Iterator[epath.Path]:
    if not is_local(directory):
        with tempfile.TemporaryDirectory() as partial:
            yield _begun(epath.Path(partial), recipe)
        return
    yield _begun(directory.parent / f"{directory.name}.partial", recipe)


def _begun(partial: epath.Path, recipe: str) -> epath.Path:
    """The directory as a preparation with this recipe left it, or empty."""
    told = partial / WORK / _RECIPE
    if not told.exists() or told.read_text() != recipe:
        partial.rmtree(missing_ok=True)
        (partial / WORK).mkdir(parents=True)
        told.write_text(recipe)
    return partial


def _remove_empty(directories: Sequence[epath.Path]) -> None:
    """Removes directories, the innermost first, up to the first that holds something."""
    with contextlib.suppress(OSError):
        for directory in directories:
            pathlib.Path(directory).rmdir()


def _publish(partial: epath.Path, directory: epath.Path, last: str) -> None:
    if is_local(directory):
        if directory.exists():
            directory.rmdir()
        partial.rename(directory)
        return
    directory.mkdir(parents=True, exist_ok=True)
    mark = directory / _ARRIVING
    again(mark, lambda: mark.write_text(""))
    for path in sorted(partial.iterdir(), key=lambda path: path.name == last):
        _send(path, directory / path.name)
    mark.unlink()


def _send(path: epath.Path, to: epath.Path) -> None:
    again(to, lambda: path.copy(to, overwrite=True))
