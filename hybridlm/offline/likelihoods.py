"""Log-likelihoods of continuations by the scorer that `evaluate` reports by, for tasks that ask for sums.

A window is BOS and the tokens of one request; windows of like length share a batch, so few programs are compiled.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from hybridlm.config.errors import nearest, require
from hybridlm.config.evaluation import EvaluationConfig
from hybridlm.config.experiment import Experiment
from hybridlm.evaluation.readings import Scorer, scorer
from hybridlm.evaluation.values import DETAILS
from hybridlm.objectives import single
from hybridlm.offline.continuations import Request, Window, windows
from hybridlm.offline.opened import Opened
from hybridlm.reports.progress import progress
from hybridlm.sharding import placement

NARROWEST = 32
"""Places of the narrowest rows; others are twice, four times, … as wide."""
_CORRECT = DETAILS.index("accuracy")


@dataclasses.dataclass(frozen=True)
class Likelihoods:
    """[requests] -> for each the log-likelihood of its scored tokens, in nats, and whether each was the likeliest."""

    opened: Opened
    config: EvaluationConfig

    def __call__(self, requests: Sequence[Request], title: str = "reading") -> list[tuple[float, bool]]:
        """In the order of the requests; progress is shown under the title."""
        room, least = self.opened.experiment.data.row_length - 1, 0 if self.opened.has_bos else 1
        found = [
            Window(number, *place)
            for number, request in enumerate(requests)
            for place in windows(len(request.ids), request.first, room, least=least)
        ]
        nats_R, is_greedy_R = np.zeros(len(requests)), np.ones(len(requests), bool)
        with progress(title, len(found)) as bar:
            done = 0
            for batch, width in _batches(found, self.config.batch_rows, room + 1):
                shape = (self.config.batch_rows, width)
                nats_BT, is_right_BT = self._read(_rows(batch, requests, self.opened.tokenizer.bos, shape))
                for row, window in enumerate(batch):
                    scored = slice(1 + window.first - window.begin, 1 + window.width)
                    nats_R[window.request] += nats_BT[row, scored].sum(dtype=np.float64)
                    is_greedy_R[window.request] &= is_right_BT[row, scored].all()
                done += len(batch)
                bar.update(done)
        return list(zip((-nats_R).tolist(), is_greedy_R.tolist(), strict=True))

    def _read(self, batch: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Nats of every token, and whether it was the likeliest."""
        place = placement.placer(self.opened.mesh)
        values, _ = self._score(self.opened.params, place(batch), 0)
        (name,) = self.config.readings
        return np.asarray(values[name].nats_BT), np.asarray(values[name].details_KBT[_CORRECT]) > 0

    @functools.cached_property
    def _score(self) -> Scorer:
        return scorer(self.opened.task, self.config, self.opened.experiment.mask, self.opened.mesh)


def likelihoods(opened: Opened, reading: str = "", batch_rows: int = 0) -> Likelihoods:
    """By a reading from left to right: the one named, or the first there is; others are refused."""
    config = opened.experiment.evaluation
    name = reading or next(iter(_left_to_right(opened.experiment)), "")
    require(
        bool(name),
        f"none of the readings {', '.join(config.readings)} goes from left to right, and a harness adds up exact "
        "log-likelihoods; a bound or a share would be averaged as if it were one. `hybridlm evaluate` reports these, "
        "each with its kind.",
    )
    require(name in config.readings, f"reading={name!r} is no reading of this model{nearest(name, config.readings)}")
    kind = single.part(name, config.readings[name].objective).kind.label
    require(
        name in _left_to_right(opened.experiment),
        f"reading={name!r} is no exact reading from left to right: its values are of kind {kind!r} or of some tokens "
        "alone, and a harness averages what it gets as log-likelihoods of all. `hybridlm evaluate` reports it.",
    )
    chosen = {"readings": {name: config.readings[name]}, "batch_rows": batch_rows or config.batch_rows, "context": 0}
    return Likelihoods(opened, dataclasses.replace(config, **chosen))


def _left_to_right(experiment: Experiment) -> list[str]:
    readings = experiment.evaluation.readings.items()
    return [name for name, reading in readings if reading.objective.is_autoregressive]


def _batches(found: Sequence[Window], rows: int, widest: int) -> Iterator[tuple[list[Window], int]]:
    """Windows of like width together, the widest first, so that memory does not run out late."""
    places = {window: min(max(NARROWEST, 1 << window.width.bit_length()), widest) for window in found}
    ordered = sorted(found, key=lambda window: -places[window])
    for width, alike in itertools.groupby(ordered, key=places.__getitem__):
        for batch in itertools.batched(alike, rows):
            yield list(batch), width


def _rows(
    batch: Sequence[Window], requests: Sequence[Request], bos: int, shape: tuple[int, int]
) -> dict[str, np.ndarray]:
    """Rows of one window each; what fills up is padding."""
    columns = {name: np.zeros(shape, np.int32) for name in ("tokens", "positions", "segment_ids")}
    for row, window in enumerate(batch):
        here = (row, slice(1 + window.width))
        columns["tokens"][here] = [bos, *requests[window.request].ids[window.begin : window.end]]
        columns["positions"][here] = np.arange(1 + window.width)
        columns["segment_ids"][here] = 1
    return columns
