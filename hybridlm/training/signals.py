"""Turns a notice of preemption into a question that every loop can ask between two steps.

A lone process listens for SIGTERM and SIGINT itself. Processes joined by `jax.distributed` must all stop at the same
step: there JAX listens for SIGTERM, and its sync point gives the same answer to all of them.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

import jax
from jax.experimental import multihost_utils

from hybridlm.config.exit_codes import ExitCode

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_END = 0  # no signal has this number
PATIENCE = 3.0
"""Seconds in which a process that has nothing to save may clean up after itself."""


class Preempted(RuntimeError):
    """A signal asked the run to stop; its state is saved."""

    exit_code = ExitCode.PREEMPTED


class Preemption:
    """`with Preemption() as preemption:` ... `if preemption.requested:` save and leave.

    The first signal sets the flag and gives the signals their old meaning back, so that a second one ends the process.
    Enter it on the main thread. Joined processes must ask equally often, which loops in lock step do.
    """

    def __init__(self):
        self._is_signalled = False
        self._asked = 0
        self._previous = {}
        self._leave = None
        self._over = threading.Event()

    def __enter__(self):
        if not jax.distributed.is_initialized():
            self._pipe = os.pipe()
            os.set_blocking(self._pipe[1], False)
            self._woken = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
            self._previous = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
            self._watcher = threading.Thread(target=self._watch, name="preemption", daemon=True)
            self._watcher.start()
        return self

    def __exit__(self, *_):
        self._give_back()
        self._over.set()
        if not jax.distributed.is_initialized():
            signal.set_wakeup_fd(self._woken)
            os.write(self._pipe[1], bytes([_END]))
            self._watcher.join()
            for end in self._pipe:
                os.close(end)

    @property
    def requested(self) -> bool:
        """Whether to save now and leave; once True, it stays True."""
        if jax.distributed.is_initialized() and not self._is_signalled:
            self._asked += 1
            self._is_signalled = multihost_utils.reached_preemption_sync_point(self._asked)
        return self._is_signalled

    def stop_waiting(self, why: str) -> None:
        """Raises `Preempted` once a lone process was signalled; asks nobody else, so it may be called at any time."""
        if self._is_signalled:
            raise Preempted(why)

    @contextlib.contextmanager
    def nothing_to_save(self, why: str, settle: Callable[[], None] = lambda: None) -> Iterator[None]:
        """In the block a signal to a lone process raises `Preempted`, or ends it if it compiles and hears nothing.

        `settle` is called before that, on another thread: it awaits what must not be cut off.
        """
        self.stop_waiting(why)
        self._leave = (why, settle)
        try:
            yield
        finally:
            self._leave = None

    def _on_signal(self, number, frame):
        self._is_signalled = True
        self._give_back()
        if self._leave is not None:
            raise Preempted(self._leave[0])
        # Not a logger: the signal may have interrupted one that holds its lock.
        os.write(2, f"{signal.Signals(number).name}: saving, then stopping; send it again to stop at once\n".encode())

    def _watch(self):
        """Python runs handlers between two of its own instructions, which a compiler does not reach for minutes."""
        while (number := os.read(self._pipe[0], 1)[0]) != _END:
            leave = self._leave
            if leave is not None and number in _SIGNALS:
                why, settle = leave
                settle()
                self._over.wait(PATIENCE)
                if self._leave is leave:
                    os.write(2, f"hybridlm: {why}\n".encode())
                    os._exit(ExitCode.PREEMPTED)

    def _give_back(self):
        while self._previous:
            signal.signal(*self._previous.popitem())
