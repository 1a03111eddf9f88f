"""A process that makes no progress prints the stack of every thread and ends, so that a launcher can start it again.

The clock runs in C beside the interpreter, so that it also ends a process whose interpreter is locked up.
"""

import contextlib
import faulthandler
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def watched(seconds: float) -> Iterator[Callable[[], None]]:
    """Yields what to call at every sign of life; `seconds` after the last without another the process ends.

    Its exit code is 1 then, as after any crash. The first call starts the clock, and 0 seconds none.
    """
    if not seconds:
        yield lambda: None
        return

    def alive():
        faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__)

    try:
        yield alive
    finally:
        faulthandler.cancel_dump_traceback_later()
