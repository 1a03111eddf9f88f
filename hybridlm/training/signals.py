"""Turns a notice of preemption into a question that every loop can ask between two steps.

A lone process listens for SIGTERM and SIGINT itself. Processes joined by `jax.distributed` must all stop at the same
step: there JAX listens for SIGTERM, and its sync point gives the same answer to all of them.
"""

import os
import signal

import jax
from jax.experimental import multihost_utils

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Preemption:
    """`with Preemption() as preemption:` ... `if preemption.requested:` save and leave.

    The first signal sets the flag and gives the signals their old meaning back, so that a second one ends the process.
    Enter it on the main thread. Joined processes must ask equally often, which loops in lock step do.
    """

    def __init__(self):
        self._is_signalled = False
        self._asked = 0
        self._previous = {}

    def __enter__(self):
        if not jax.distributed.is_initialized():
            self._previous = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        return self

    def __exit__(self, *_):
        self._give_back()

    @property
    def requested(self) -> bool:
        """Whether to save now and leave; once True, it stays True."""
        if jax.distributed.is_initialized() and not self._is_signalled:
            self._asked += 1
            self._is_signalled = multihost_utils.reached_preemption_sync_point(self._asked)
        return self._is_signalled

    def _on_signal(self, number, frame):
        self._is_signalled = True
        self._give_back()
        # Not a logger: the signal may have interrupted one that holds its lock.
        os.write(2, f"{signal.Signals(number).name}: saving, then stopping; send it again to stop at once\n".encode())

    def _give_back(self):
        while self._previous:
            signal.signal(*self._previous.popitem())
