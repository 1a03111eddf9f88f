"""Steps that need looking at: loss or gradient norm not finite, or far above what it was in the steps before.

Each leaves a file anomalies/<step>.json with all that `hybridlm replay` needs to take the step again, and holds back
the checkpoint before it. Spikes are told by mean and deviation of the last 128 steps, as OLMo-core and MaxText do.

A spike alone is no harm: where noise levels are drawn, gradients of healthy runs have them. Harm is a loss that has
gone up and stays, which `Window.risen` tells by the median of the last steps.
"""

import collections
import json
import math
from collections.abc import Mapping

import numpy as np
from etils import epath

from hybridlm.storage import durable

WINDOW = 128
"""Steps whose mean and deviation a step is held against; until half as many were taken nothing is a spike."""
LAST = 16
"""Steps whose median is held against the mean of those before: fewer than half of them may be spikes."""
HELD_BACK = 2
"""Checkpoints that anomalies may keep from being removed, in a whole run."""
DIRECTORY = "anomalies"
HIGH, NOT_FINITE = "high", "not finite"
"""How a step may be odd."""


class Window:
    """The loss and gradient norm of the last steps. `remembered` is the `state` of an earlier one."""

    def __init__(self, deviations: float, remembered: Mapping | None = None):
        self._deviations = deviations
        remembered = remembered or {"values": [], "was_odd": ""}
        self._values = collections.deque(map(tuple, remembered["values"]), WINDOW)
        # runs of before kept True and False, not how: True is no kind, so the next odd step is told
        self._was_odd = remembered["was_odd"]

    @property
    def state(self) -> dict:
        """Plain JSON, so that a resumed run finds the same spikes."""
        return {"values": list(self._values), "was_odd": self._was_odd}

    def judge(self, loss: float, grad_norm: float) -> str:
        """What is odd about the next step, "" if nothing; of steps in a row that are odd alike the first is told."""
        odd, is_finite = self._oddity(loss, grad_norm), math.isfinite(loss) and math.isfinite(grad_norm)
        if is_finite:
            self._values.append((loss, grad_norm))
        before, self._was_odd = self._was_odd, odd and (HIGH if is_finite else NOT_FINITE)
        return odd if self._was_odd != before else ""

    def risen(self) -> str:
        """How the last losses lie above those before them, by so many deviations of a mean of as many; "" if not."""
        losses = [loss for loss, _ in self._values]
        before, last = losses[:-LAST], losses[-LAST:]
        if not self._deviations or len(before) < WINDOW // 2:
            return ""
        mean, error = np.mean(before), np.std(before) / LAST**0.5
        if np.median(last) <= mean + self._deviations * error:
            return ""
        return f"its median over the last {LAST} steps is {np.median(last):.4g}, after {mean:.4g} on average"

    def _oddity(self, loss: float, grad_norm: float) -> str:
        for name, value in (("loss", loss), ("gradient norm", grad_norm)):
            if not math.isfinite(value):
                return f"{name} is {value}"
        if not self._deviations or len(self._values) < WINDOW // 2:
            return ""
        means, deviations = np.mean(self._values, 0), np.std(self._values, 0)
        for name, value, mean, deviation in zip(("loss", "gradient norm"), (loss, grad_norm), means, deviations):
            if value > mean + self._deviations * deviation:
                return f"{name} is {value:.4g}, {(value - mean) / max(deviation, 1e-30):.1f} deviations above its mean"
        return ""


def write(directory: epath.Path, step: int, told: Mapping) -> None:
    """Writes what is known of a step as JSON; give numbers that may not be finite as text."""
    (directory / DIRECTORY).mkdir(parents=True, exist_ok=True)
    durable.replace(_path(directory, step), json.dumps({"step": step, **told}, indent=1))


def read(directory: epath.Path, step: int) -> dict | None:
    """What was written of a step, None if nothing was."""
    path = _path(directory, step)
    return json.loads(path.read_text()) if path.exists() else None


def _path(directory: epath.Path, step: int) -> epath.Path:
    return directory / DIRECTORY / f"{step}.json"
