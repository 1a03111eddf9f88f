"""An object in a process of its own, whose methods are called from here one at a time, and the same in this process.

Tracing holds Python's lock, so what compiles for long has a process to itself.
"""

import contextlib
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


class Elsewhere:
    """`make(*about)` in a process, which ends with this one."""

    def __init__(self, make: Callable, *about: Any):
        spawning = multiprocessing.get_context("spawn")
        self._line, there = spawning.Pipe()
        self._process = spawning.Process(target=_serve, args=(there, make, about), daemon=True)
        self._process.start()
        there.close()

    def ask(self, method: str, *arguments: Any) -> None:
        """Begins a call."""
        with contextlib.suppress(OSError):  # the process failed, and so there will be no answer
            self._line.send((method, arguments))

    def answer(self, until: float | None = None) -> Any:
        """What the call gave; None where nothing came until then, or the process failed."""
        try:
            is_there = self._line.poll(until and max(until - time.perf_counter(), 0))
            return self._line.recv() if is_there else None
        except (EOFError, OSError):
            return None

    def call(self, method: str, *arguments: Any) -> Any:
        """Asks and waits."""
        self.ask(method, *arguments)
        return self.answer()

    def stop(self) -> None:
        """Ends the process, whatever it is at."""
        self._process.terminate()
        self._process.join()


class Here:
    """The same in this process: whoever asks waits."""

    def __init__(self, make: Callable, *about: Any):
        self._served = make(*about)

    def ask(self, method: str, *arguments: Any) -> None:
        """The call, whole."""
        self._answer = self.call(method, *arguments)

    def answer(self, until: float | None = None) -> Any:
        """What it gave."""
        return self._answer

    def call(self, method: str, *arguments: Any) -> Any:
        """The method itself."""
        return getattr(self._served, method)(*arguments)

    def stop(self) -> None:
        """Nothing is left to end."""


def _serve(line: Connection, make: Callable, about: tuple) -> None:
    served = make(*about)
    while True:
        method, arguments = line.recv()
        line.send(getattr(served, method)(*arguments))
