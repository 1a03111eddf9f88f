"""Where wall time went, across all restarts of a run: starting, compiling, waiting for data, steps, and the rest.

A checkpoint remembers the account and the moment it was made, so the time from there to the next start, with the steps
that were taken in it and must be taken again, is what was lost. Between a stop that saved its state and the next start
nothing was lost: the run was away, and the share leaves that out. A process that is killed in between, before it saves,
is not remembered, so its time is away too.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping

from jax import monitoring

PARTS = ("init", "compile", "data", "step", "evaluation", "checkpoint", "lost", "away")
_COMPILING = (
    "/jax/core/compile/jaxpr_trace_duration",
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "/jax/core/compile/backend_compile_duration",
)


class Goodput:
    """Every moment belongs to one part; `clock` gives the time of day in seconds."""

    def __init__(self, clock: Callable[[], float] = time.time):
        self._clock = clock
        self._seconds = dict.fromkeys(PARTS, 0.0)
        self._begun = self._since = clock()
        self._part = "init"
        self._compiles = []

    def resume(self, account: Mapping) -> None:
        """Adds what a checkpoint remembers, and what has passed since: away, or lost, for it led nowhere."""
        for part, seconds in account["seconds"].items():
            self._seconds[part] += seconds
        since = "away" if account.get("is_stop") else "lost"
        self._seconds[since] += max(0.0, self._begun - account["at"])

    def account(self, *, is_stop: bool = False) -> dict:
        """What a checkpoint is to remember; is_stop: whether no step follows it before the next start."""
        self._settle()
        return {"at": self._since, "seconds": dict(self._seconds), "is_stop": is_stop}

    @contextlib.contextmanager
    def spent_on(self, part: str) -> Iterator[None]:
        """Time in the block belongs to a part, and afterwards again to the one before."""
        before = self._turn_to(part)
        try:
            yield
        finally:
            self._turn_to(before)

    @contextlib.contextmanager
    def counting_compilation(self) -> Iterator[None]:
        """In the block what JAX spends on tracing and compiling belongs to "compile", whatever it was done for."""
        monitoring.register_event_duration_secs_listener(self._compiled)
        try:
            yield
        finally:
            monitoring.unregister_event_duration_listener(self._compiled)

    def scalars(self) -> dict[str, float]:
        """Seconds by part, and as `goodput/share` how much of all time but away was steps that count."""
        self._settle()
        named = {f"goodput/{part}_s": seconds for part, seconds in self._seconds.items()}
        there = sum(self._seconds.values()) - self._seconds["away"]
        return named | {"goodput/share": self._seconds["step"] / max(there, 1e-9)}

    def summary(self) -> str:
        """One line for the log: `goodput 71.3%, the time of steps that count; init 4 s, compile 9 s, ...`."""
        scalars = self.scalars()
        parts = ", ".join(f"{part} {self._seconds[part]:.0f} s" for part in PARTS)
        return f"goodput {scalars['goodput/share']:.1%}, the time of steps that count; {parts}"

    def _turn_to(self, part: str) -> str:
        self._settle()
        before, self._part = self._part, part
        return before

    def _settle(self) -> None:
        now = self._clock()
        self._seconds[self._part] += now - self._since
        self._since = now

    def _compiled(self, event: str, seconds: float, **_) -> None:
        """Functions are traced inside others; only what the outermost one took is counted."""
        if event not in _COMPILING:
            return
        start, inner = self._clock() - seconds, 0.0
        while self._compiles and self._compiles[-1][0] >= start:
            inner += self._compiles.pop()[1]
        self._compiles.append((start, seconds))
        self._seconds["compile"] += seconds - inner
        self._seconds[self._part] -= seconds - inner
