"""One line that says how far a loop is and how long it still takes: a bar on a terminal, plain lines in a log."""

import contextlib
import datetime
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from hybridlm.sharding.distributed import is_primary

_LINES = 10  # of a log, about
_SPEED_WINDOW = 600.0  # seconds; steps may be slow, and a shorter memory would forget the last one


class Reporter(Protocol):
    """What a loop is handed."""

    def update(self, step: int, text: str = "") -> None:
        """`step` of the total are done; a text is what is known of just that step, which may be an earlier one."""


@contextlib.contextmanager
def progress(title: str, total: int, *, start: int = 0, every: int | None = 1) -> Iterator[Reporter]:
    """Reports a loop on standard error, on the first process only.

    `start` is where a resumed loop begins. In a log, a line appears each `every` steps and at the end, about ten in all
    where that would be more; with None for each text and no other step.
    """
    if not is_primary():
        yield _Silence()
    elif sys.stderr.isatty():
        console = Console(stderr=True)
        with Progress(*_columns(), console=console, speed_estimate_period=_SPEED_WINDOW, expand=True) as bar:
            yield _Bar(bar, title, total, start)
    else:
        yield _Lines(title, total, start, every)


def stages(title: str, names: Iterable[str]) -> Iterator[str]:
    """The parts of a whole, each told before it begins; they take unlike times, so nobody guesses what is left."""
    names = tuple(names)
    for number, name in enumerate(names, 1):
        remark(f"{title} {number}/{len(names)}  {name}")
        yield name


def remark(line: str) -> None:
    """A line on standard error, on the first process only: what a user should know, and absl hides below a warning."""
    if is_primary():
        print(line, file=sys.stderr, flush=True)


def _columns():
    """In a narrow terminal the text is cut first, then what is done, and the time left last."""
    yield TextColumn("{task.description}")
    yield BarColumn(10)
    yield MofNCompleteColumn()
    yield TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=len("0:00:00")))
    yield TextColumn("left", table_column=Column(no_wrap=True, min_width=len("left")))
    yield TextColumn("{task.fields[text]}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"))


class _Silence:
    def update(self, step, text=""):
        pass


class _Bar:
    def __init__(self, bar, title, total, start):
        self._bar = bar
        self._task = bar.add_task(title, total=total, completed=start, text="")

    def update(self, step, text=""):
        self._bar.update(self._task, **({"text": f"step {step}: {text}"} if text else {"completed": step}))


class _Lines:
    """The clock starts at the first update, since what came before is mostly compilation."""

    def __init__(self, title, total, start, every):
        self._title, self._total = title, total
        self._every = every and max(every, (total - start) // _LINES)
        self._shown, self._first = start, None

    def update(self, step, text=""):
        now = time.monotonic()
        self._first = self._first or (step, now)
        if text or self._is_due(step):
            self._shown = step
            parts = (f"{self._title} {step}/{self._total}", text, self._left(step, now))
            print("  ".join(part for part in parts if part), file=sys.stderr, flush=True)

    def _is_due(self, step):
        if self._every is None:
            return False
        return step // self._every > self._shown // self._every or step == self._total

    def _left(self, step, now):
        first_step, first_time = self._first
        if step == first_step or step == self._total:
            return ""
        seconds = (now - first_time) / (step - first_step) * (self._total - step)
        return f"{datetime.timedelta(seconds=round(seconds))} left"
