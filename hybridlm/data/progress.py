"""How far a preparation is: a bar with the time left on a terminal, one plain line per phase elsewhere."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from rich import progress
from rich.console import Console

Progress = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]
"""(title, amount to do or None) -> a context manager that yields `advance(amount done)`; 0: only a title."""


@contextlib.contextmanager
def show(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Reports on stderr."""
    if total == 0:
        print(title, file=sys.stderr, flush=True)
        yield _ignore
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        print(f"{title} ...", file=sys.stderr, flush=True)
        yield _ignore
        return
    text = progress.TextColumn("{task.description:<24}")
    times = (progress.TimeElapsedColumn(), progress.TimeRemainingColumn())
    with progress.Progress(text, progress.BarColumn(), progress.TaskProgressColumn(), *times, console=console) as bars:
        task = bars.add_task(title, total=total)
        yield lambda done: bars.advance(task, done)


@contextlib.contextmanager
def silent(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Reports nothing."""
    del title, total
    yield _ignore


def remark(progress: Progress, line: str) -> None:
    """Shows a finding in its place among the phases."""
    with progress(line, 0):
        pass


def _ignore(done: int) -> None:
    del done
