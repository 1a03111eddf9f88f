"""Files that appear whole: first the data reach the disk, then the name, then the directory that holds the name."""

import os

from etils import epath


def replace(path: epath.Path, text: str) -> None:
    """Writes a file in one piece; when this returns, it has reached the disk."""
    if is_object_store(path):
        path.write_text(text)
        return
    temporary = path.with_name(f"{path.name}.tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    _sync_directory(path.parent)


def append(path: epath.Path, text: str) -> None:
    """Adds to the end of a file."""
    if is_object_store(path):
        path.write_text(path.read_text() + text)
        return
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)


def is_object_store(path: epath.Path) -> bool:
    """Whether this is a URL such as gs://: an object there appears whole or not at all, and nothing can be appended."""
    return "://" in str(path)


def _sync_directory(path: epath.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
