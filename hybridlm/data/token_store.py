"""Columns of tokens in files: those of a chunk together, those of a corpus flat, to be read without being loaded."""

import contextlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from etils import epath

Columns = Mapping[str, np.ndarray]


def save(columns: Columns, path: epath.Path) -> None:
    """Writes arrays into one file."""
    with path.open("wb") as stream:
        np.savez(stream, **columns)


def load(path: epath.Path) -> dict[str, np.ndarray]:
    """The arrays that `save` wrote."""
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        return dict(arrays)


@contextlib.contextmanager
def appending(directory: epath.Path) -> Iterator[Callable[[Columns], None]]:
    """Makes the directory afresh and yields `append(columns)`, which adds tokens to every column."""
    directory.rmtree(missing_ok=True)
    directory.mkdir()
    with contextlib.ExitStack() as opened:
        files = {}

        def append(columns: Columns) -> None:
            for name, values in columns.items():
                if name not in files:
                    files[name] = opened.enter_context((directory / f"{name}.{values.dtype.name}").open("wb"))
                files[name].write(values.tobytes())

        yield append


def columns(directory: epath.Path) -> dict[str, np.ndarray]:
    """The columns that were appended, as memory-mapped arrays, by name."""
    return {path.stem: _mapped(path, path.suffix[1:]) for path in sorted(directory.iterdir())}


def _mapped(path: epath.Path, dtype: str) -> np.ndarray:
    # An empty file cannot be mapped.
    return np.memmap(path, dtype, mode="r") if path.stat().length else np.empty(0, dtype)
