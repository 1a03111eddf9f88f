"""Metrics leave the device without stopping it: copied when a step is logged, written when the copy has arrived."""

import collections
import dataclasses
import math
import time
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from hybridlm.scoring.accumulator import Accumulator, empty, read
from hybridlm.training.state import TrainState
from hybridlm.training.work import peak_flops


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Snapshot:
    """What one logged step tells: sums since the last one, loss and gradient norm of every step, and counters."""

    sums: Accumulator
    every_SX: Float[Array, "S 2"]
    bad_in_row: Int[Array, ""]
    bad: Int[Array, ""]


@jax.jit
def take(state: TrainState, every_SX: Float[Array, "S 2"]) -> tuple[Snapshot, Accumulator]:
    """A copy of what is logged, and empty sums to go on with."""
    copied = jax.tree.map(jnp.copy, Snapshot(state.sums, every_SX, state.bad_in_row, state.bad))
    return copied, empty(*state.sums.rounded_PC.shape)


@jax.jit
def _remember(
    every_SX: Float[Array, "S 2"], place: Int[Array, ""], loss: Array, grad_norm: Array
) -> Float[Array, "S 2"]:
    return every_SX.at[place].set(jnp.stack([loss, grad_norm]))


@dataclasses.dataclass(frozen=True)
class Logged:
    """Numbers of one logged step, on the host. `scalars` by metric name; `bad_in_row` steps were not applied; `every`
    step since the line before: (step, loss, gradient norm)."""

    step: int
    scalars: dict[str, float]
    bad_in_row: int
    every: tuple[tuple[int, float, float], ...]


class Log:
    """Snapshots on their way. `names` are objectives; `labels` (family, label) pairs, the first one for all tokens;
    the sums of `filters` stand behind those of labels. At most `interval` steps lie between two lines."""

    def __init__(
        self,
        names: tuple[str, ...],
        labels: tuple[tuple[str, str], ...],
        tokens_per_step: int,
        flops: float,
        filters: tuple[str, ...] = (),
        interval: int = 1,
    ):
        self._names, self._labels, self._filters = names, labels, filters
        self._tokens, self._flops = tokens_per_step, flops
        self._waiting = collections.deque()
        self._last = (None, 0.0)
        self._every_SX, self._unread = np.zeros((interval, 2), np.float32), 0

    def remember(self, state: TrainState) -> None:
        """Keeps the loss and the gradient norm of a step on the devices; call it after every one."""
        self._every_SX = _remember(self._every_SX, self._unread, state.loss, state.grad_norm)
        self._unread += 1

    def push(self, step: int, state: TrainState) -> TrainState:
        """Starts to copy the metrics of a step; returns the state with empty sums."""
        snapshot, cleared = take(state, self._every_SX)
        for copy in jax.tree.leaves(snapshot):
            copy.copy_to_host_async()
        self._waiting.append((step, self._unread, snapshot))
        self._unread = 0
        return dataclasses.replace(state, sums=cleared)

    def unread(self, step: int) -> tuple[tuple[int, float, float], ...]:
        """Steps up to this one that no line tells of yet, as `Logged.every`; waits for the devices."""
        count, self._unread = self._unread, 0
        return _numbered(np.asarray(self._every_SX), count, step)

    def arrived(self, *, wait: bool = False) -> list[Logged]:
        """Snapshots that are on the host by now, or all of them if told to wait."""
        found = []
        while self._waiting and (wait or all(x.is_ready() for x in jax.tree.leaves(self._waiting[0][-1]))):
            found.append(self._read(*self._waiting.popleft()))
        if found:
            # several may arrive at once, and then only the last one's time is known
            found[-1].scalars.update(self._speed(found[-1].step))
        return found

    def _read(self, step: int, count: int, snapshot: Snapshot) -> Logged:
        scalars = dict(self._losses(*read(snapshot.sums)))
        every = _numbered(np.asarray(snapshot.every_SX), count, step)
        _, scalars["train/loss"], scalars["train/grad_norm"] = every[-1]
        scalars["train/bad_steps"] = int(snapshot.bad)
        return Logged(step, scalars, int(snapshot.bad_in_row), every)

    def _losses(self, total_PC: np.ndarray, count_PC: np.ndarray) -> Iterator[tuple[str, float]]:
        """In nats per token, nothing for no tokens: `loss/ar` of all, `nll/ar/bracket/open` of a category, and
        `filtered/ar/new_content` of those a filter lets through."""
        for p, name in enumerate(self._names):
            keys = [
                f"loss/{name}" if family == "all" else f"nll/{name}/{family}/{label}" for family, label in self._labels
            ]
            keys += [f"filtered/{name}/{wanted}" for wanted in self._filters]
            for key, total, count in zip(keys, total_PC[p], count_PC[p], strict=True):
                if count:
                    yield key, float(total / count)

    def _speed(self, step: int) -> dict[str, float]:
        """Tokens per second, and MFU, since the last snapshot; nothing for the first one, which compiles."""
        before, then = self._last
        self._last = (step, time.monotonic())
        if before is None:
            return {}
        rate = (step - before) / max(self._last[1] - then, 1e-9)
        speed = {"perf/tokens_per_s": rate * self._tokens, "perf/step_ms": 1000 / rate}
        peak = peak_flops()
        return speed | ({"perf/mfu": rate * self._flops / peak} if peak else {})


def _numbered(every_SX: Float[np.ndarray, "S 2"], count: int, step: int) -> tuple[tuple[int, float, float], ...]:
    """The last steps up to `step`, each with its number."""
    told = every_SX[:count].tolist()
    return tuple((step - count + n, *values) for n, values in enumerate(told, 1))


def summary(scalars: dict[str, float]) -> str:
    """The few numbers a line has room for."""
    losses = [f"{key.removeprefix('loss/')} {value:.2f}" for key, value in scalars.items() if key.startswith("loss/")]
    speed = scalars.get("perf/tokens_per_s", math.nan)
    return f"nats per token: {', '.join(losses)}" + ("" if math.isnan(speed) else f"; {speed:,.0f} tokens/s")
