"""Reads a model on held-out rows: each way of reading gives one value per token, summed by category and split group.

The same function serves the end of training and the offline evaluation of a checkpoint, so both give the same numbers.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from hybridlm.config.evaluation import EvaluationConfig
from hybridlm.data.rows import Rows
from hybridlm.training import task as tasks
from hybridlm.training.columns import Column, columns
from hybridlm.training.group_sums import GroupSums
from hybridlm.training.readings import DETAILS, SCORED, Scorer, Values
from hybridlm.training.step import Batch
from hybridlm.training.task import Task
from hybridlm.training.windows import SLOT, slots

PLACES = ("document", "group", "language", "tokens", "positions", SLOT)
"""Columns of a batch that say where a token stands; they go beside its values."""
SUMMED = DETAILS[:6]
"""The details whose sums are kept."""
TOLD = {"entropy": "entropy", "confidence": "confidence", "accuracy": "correct", "rank": "rank"}
TOLD |= {"margin": "margin", "brier": "brier"}
"""The details that are kept of each token, and what they are called there."""
SHARE_UNIT = 2.0**10
"""Shares of a bound are added up in units of this, since some are large; a power of two changes no digit."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Totals:
    """Sums of one column over tokens, by split group and label; groups stand in the order of their numbers.

    Attributes:
      nats_NC, tokens_NC. samples_KC: of every Monte-Carlo sample, by label; none where the column is exact.
      details_KC: of the values SUMMED, by label; none where the column is not detailed.
      gate_C: of -log of the probability of the label itself, in families that read the token alone; NaN elsewhere.
      bytes: of the text scored.
    """

    nats_NC: Float[np.ndarray, "N C"]
    tokens_NC: Int[np.ndarray, "N C"]
    samples_KC: Float[np.ndarray, "K C"]
    details_KC: Float[np.ndarray, "_ C"]
    gate_C: Float[np.ndarray, "C"]
    bytes: int


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Attributes: columns, and their totals in the same order. labels: (family, label) of every C. tokens: arrays of a
    batch, with the place, id, label in every family, and value under every column, of each scored token; what else an
    exact column says of it stands under "entropy/<column>" and so on."""

    columns: tuple[Column, ...]
    totals: tuple[Totals, ...]
    labels: tuple[tuple[str, str], ...]
    tokens: list[dict[str, np.ndarray]]


def batches(rows: Rows, config: EvaluationConfig) -> Iterator[dict[str, np.ndarray]]:
    """The rows to read: all, or `config.rows` spread evenly over the split; the last batch is filled with padding."""
    count = min(config.rows or len(rows), len(rows))
    picked = np.arange(count) * len(rows) // count
    for first in range(0, count, config.batch_rows):
        here = picked[first : first + config.batch_rows]
        columns = rows.read(here) | {SLOT: slots(rows, here)}
        missing = config.batch_rows - len(columns["tokens"])
        yield {name: np.pad(column, ((0, missing), (0, 0))) for name, column in columns.items()}


def batch_count(rows: Rows, config: EvaluationConfig) -> int:
    """How many batches `batches` gives."""
    return -(-min(config.rows or len(rows), len(rows)) // config.batch_rows)


def evaluate(
    task: Task,
    config: EvaluationConfig,
    score: Scorer,
    params: Any,
    batches: Iterable[dict[str, np.ndarray]],
    *,
    place: Callable[[dict[str, np.ndarray]], Batch] = jax.device_put,
    on_batch: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Scores all batches with a `scorer`. `place` puts rows on devices; `on_batch` hears how many are done."""
    found = columns(config.readings, task.has_counts)
    sums, tokens = _Sums(task, config, found), []
    for done, (batch, (values, labels_MBT)) in enumerate(_ahead(score, params, batches, place)):
        is_counted = [_is_counted(column, values) for column in found]
        sums.add(batch, labels_MBT, values, is_counted)
        tokens.append(_tokens(task, found, batch, *jax.device_get((labels_MBT, values, is_counted))))
        on_batch(done + 1)
    return Evaluation(found, sums.read(), tasks.label_names(task.tables), tokens)


def _ahead(score, params, batches, place) -> Iterator:
    """Results in order, each read by the host only when the next batch is already on its way."""
    waiting = None
    for number, batch in enumerate(batches):
        result = (batch, score(params, place({name: column for name, column in batch.items() if name != SLOT}), number))
        if waiting:
            yield waiting
        waiting = result
    if waiting:
        yield waiting


def _is_counted(column: Column, values: Mapping[str, Values]) -> Bool[Array, "B T"]:
    """Which tokens of a batch a column counts."""
    is_counted_BT = values[column.reading].is_counted_BT
    return is_counted_BT & values[column.within].is_counted_BT if column.within else is_counted_BT


class _Sums:
    """The totals of all columns, batch by batch."""

    def __init__(self, task: Task, config: EvaluationConfig, found: tuple[Column, ...]):
        self._task, self._columns, self._detailed = task, found, [column for column in found if column.is_detailed]
        labels, detailed = len(tasks.label_names(task.tables)), len(self._detailed)
        self._nats = GroupSums([1] * len(found), labels)
        self._details = GroupSums([len(SUMMED)] * detailed, labels, capacity=1)
        self._gates = GroupSums([1] * detailed, labels, capacity=1)
        samples = (config.readings[c.reading].samples if c.samples and not c.within else 0 for c in found)
        self._samples = [np.zeros((count, labels)) for count in samples]
        self._bytes = np.zeros(len(found), np.int64)

    def add(self, batch, labels_MBT, values: Mapping[str, Values], is_counted) -> None:
        """Adds a batch; only samples and bytes wait for the devices."""
        unit = [1 / SHARE_UNIT if column.samples else 1.0 for column in self._columns]
        nats = [values[column.reading].nats_BT[None] * u for column, u in zip(self._columns, unit)]
        # padding is no group's, and the first token is never padding
        group_BT = np.where(batch["segment_ids"] > 0, batch["group"], batch["group"][0, 0])
        self._nats.add(group_BT, labels_MBT, list(zip(nats, is_counted)))
        self._add_details(labels_MBT, values, [c for c, column in zip(is_counted, self._columns) if column.is_detailed])
        for number, column in enumerate(self._columns):
            if len(self._samples[number]):
                self._samples[number] += np.asarray(values[column.reading].samples_KC)
            lengths_BT = self._task.byte_lengths_V[batch["tokens"]]
            self._bytes[number] += lengths_BT[np.asarray(is_counted[number])].sum()

    def _add_details(self, labels_MBT, values, is_counted) -> None:
        here = [values[column.reading] for column in self._detailed]
        nobody_BT = np.zeros(labels_MBT.shape[1:], np.int32)
        details = [(value.details_KBT[: len(SUMMED)], counted) for value, counted in zip(here, is_counted)]
        self._details.add(nobody_BT, labels_MBT, details)
        # each token has one gate per family, and counts under its label of that family alone: families lie side by side
        families = self._task.tables.by_token_VF.shape[1]
        labels_1NT = labels_MBT[1 : 1 + families].reshape(1, -1, nobody_BT.shape[1])
        gates = [
            (value.gate_FBT.reshape(labels_1NT.shape), jnp.tile(counted, (families, 1)))
            for value, counted in zip(here, is_counted)
        ]
        self._gates.add(np.tile(nobody_BT, (families, 1)), labels_1NT, gates)

    def read(self) -> tuple[Totals, ...]:
        """The totals in the order of the columns."""
        _, nats = self._nats.read()
        details, gates = (iter(sums.read()[1]) for sums in (self._details, self._gates))
        return tuple(
            Totals(
                nats_NC=total_1NC[0] * (SHARE_UNIT if column.samples else 1.0),
                tokens_NC=count_NC,
                samples_KC=samples_KC,
                details_KC=next(details)[0][:, 0] if column.is_detailed else samples_KC[:0],
                gate_C=self._gate(*next(gates)) if column.is_detailed else np.full(samples_KC.shape[1], np.nan),
                bytes=int(size),
            )
            for column, (total_1NC, count_NC), samples_KC, size in zip(
                self._columns, nats, self._samples, self._bytes, strict=True
            )
        )

    def _gate(self, total_1NC, count_NC) -> Float[np.ndarray, "C"]:
        return np.where(count_NC[0] > 0, total_1NC[0, 0], np.nan)


def _tokens(task: Task, found, batch, labels_MBT, values: Mapping[str, Values], is_counted) -> dict[str, np.ndarray]:
    """The scored tokens of a batch, with the value of every column."""
    is_text_BT = (batch["segment_ids"] > 0) & (batch["positions"] > 0) & (batch.get(SCORED, 1) > 0)
    tokens = {name: batch[name][is_text_BT] for name in PLACES if name in batch}
    labels_MN = labels_MBT[:, is_text_BT]
    for number, family in enumerate(task.tables.families, 1):
        # flat label 0 is "all", and each family's own labels begin at its offset
        tokens[family.name] = (labels_MN[number] - task.tables.offsets[number - 1] - 1).astype(np.int8)
    for column, counted_BT in zip(found, is_counted, strict=True):
        value, is_counted_N = values[column.reading], counted_BT[is_text_BT]

        def of_text(x_BT, is_counted_N=is_counted_N):
            return np.where(is_counted_N, x_BT[is_text_BT], np.nan).astype(np.float32)

        tokens[column.part.name] = of_text(value.nats_BT)
        if column.is_detailed and not column.within:
            named = zip(DETAILS, value.details_KBT, strict=True)
            tokens |= {f"{TOLD[name]}/{column.part.name}": of_text(x_BT) for name, x_BT in named if name in TOLD}
    return tokens
