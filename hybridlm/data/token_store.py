"""Columns of all tokens of a corpus in flat files: written once in order, then read anywhere without being loaded."""

import contextlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from etils import epath

DTypes = Mapping[str, np.dtype]


@contextlib.contextmanager
def appending(directory: epath.Path, dtypes: DTypes) -> Iterator[Callable[[Mapping[str, np.ndarray]], None]]:
    """Makes the directory and yields `append(columns)`, which adds the tokens of one document to every column."""
    directory.mkdir()
    with contextlib.ExitStack() as opened:
        files = {name: opened.enter_context((directory / name).open("wb")) for name in dtypes}

        def append(columns: Mapping[str, np.ndarray]) -> None:
            for name, file in files.items():
                file.write(columns[name].astype(dtypes[name]).tobytes())

        yield append


def columns(directory: epath.Path, dtypes: DTypes) -> dict[str, np.ndarray]:
    """The columns as memory-mapped arrays."""
    return {name: _mapped(directory / name, dtype) for name, dtype in dtypes.items()}


def _mapped(path: epath.Path, dtype: np.dtype) -> np.ndarray:
    # An empty file cannot be mapped.
    return np.memmap(path, dtype, mode="r") if path.stat().length else np.empty(0, dtype)
