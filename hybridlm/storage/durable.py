"""Files that appear whole: first the data reach the disk, then the name, then the directory that holds the name.

In an object store an object appears whole or not at all, but nothing can be renamed or appended to.
"""

import os
from collections.abc import Iterator

from etils import epath

from hybridlm.data.directories import is_local
from hybridlm.data.retries import again


def replace(path: epath.Path, text: str) -> None:
    """Writes a file in one piece; when this returns, it has reached the disk."""
    if not is_local(path):
        again(path, lambda: path.write_text(text))
        return
    temporary = path.with_name(f"{path.name}.tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    _sync_directory(path.parent)


def move(directory: epath.Path, to: epath.Path) -> None:
    """Gives a directory another name, object by object where there is no renaming."""
    if is_local(directory):
        directory.rename(to)
        return
    copy(directory, to)
    directory.rmtree()


def copy(directory: epath.Path, to: epath.Path) -> None:
    """Copies all files below a directory."""
    for path in files(directory):
        target = to / path.relative_to(directory)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.copy(target)


def files(directory: epath.Path) -> Iterator[epath.Path]:
    """All files below a directory, none if it is not there; `walk` of epath loses the gs:// of a path."""
    for path in directory.iterdir() if directory.exists() else ():
        yield from files(path) if path.is_dir() else [path]


def _sync_directory(path: epath.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
