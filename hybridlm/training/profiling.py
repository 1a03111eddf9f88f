"""A profile of a few steps, for XProf or Perfetto: the one place where the loop waits for the devices on purpose."""

import tempfile
from typing import Any

import jax
from absl import logging
from etils import epath

from hybridlm.config.operation import OperationConfig
from hybridlm.data.directories import is_local
from hybridlm.reports.progress import remark
from hybridlm.storage import durable

DIRECTORY = "profile"


class Profile:
    """Starts and stops a trace where the config says; a profiler that fails is reported and the run goes on."""

    def __init__(self, operation: OperationConfig, workdir: epath.Path):
        self._first = operation.profile_from if operation.profile_steps else -1
        self._stop = self._first + operation.profile_steps
        self._local = self._target = workdir / DIRECTORY
        self._is_on = False

    def before(self, step: int, state: Any) -> None:
        """Call it before each step, with what the last one left."""
        if step == self._first:
            self._try(self._start)
        elif step == self._stop:
            self.close(state)

    def close(self, state: Any) -> None:
        """Ends a trace that is on, once the steps in it are done."""
        if self._is_on:
            self._is_on = False
            jax.block_until_ready(state)
            self._try(self._end)

    def _start(self):
        if not is_local(self._target):
            self._local = epath.Path(tempfile.mkdtemp())
        jax.profiler.start_trace(str(self._local))
        self._is_on = True

    def _end(self):
        jax.profiler.stop_trace()
        if self._local != self._target:
            durable.copy(self._local, self._target)
            self._local.rmtree()
        remark(f"a profile of steps {self._first} to {self._stop - 1} is in {self._target}")

    def _try(self, action):
        try:
            action()
        except Exception as error:
            logging.warning("no profile is made, and the run goes on: %s", error)
