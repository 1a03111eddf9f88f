"""Reads a model on held-out rows: each way of reading gives one value per token, summed by category and split group.

The same function serves the end of training and the offline evaluation of a checkpoint, so both give the same numbers.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Bool

from hybridlm.config.evaluation import EvaluationConfig
from hybridlm.data.rows import Rows
from hybridlm.evaluation import task as tasks
from hybridlm.evaluation.columns import Column, columns
from hybridlm.evaluation.kept import Kept
from hybridlm.evaluation.readings import SCORED, Scorer
from hybridlm.evaluation.task import Batch, Task
from hybridlm.evaluation.totals import Sums, Totals
from hybridlm.evaluation.values import DETAILS, Values
from hybridlm.evaluation.windows import SLOT, slots

PLACES = ("document", "group", "language", "tokens", "positions", SLOT)
"""Columns of a batch that say where a token stands; they go beside its values."""
TOLD = {"entropy": "entropy", "confidence": "confidence", "accuracy": "correct", "rank": "rank"}
TOLD |= {"margin": "margin", "brier": "brier", "likeliest": "likeliest"}
"""The details that are kept of each token, and what they are called there."""
SHARE = "gate"
"""What the share of the first of two experts is called there."""
ERROR = "standard_error"
"""What the Monte-Carlo error of a token's value is called there."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Attributes: columns, and their totals in the same order. labels: (family, label) of every C. tokens: arrays of a
    batch, with the place, id, label in every family, and value under every column, of each scored token; what else
    an exact column says of it stands under "entropy/<column>" and so on, the error of a sampled one under ERROR."""

    columns: tuple[Column, ...]
    totals: tuple[Totals, ...]
    labels: tuple[tuple[str, str], ...]
    tokens: list[dict[str, np.ndarray]] | Kept


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
    kept: Kept | None = None,
) -> Evaluation:
    """Scores all batches with a `scorer`. `place` puts rows on devices; `on_batch` hears how many are done.

    `kept` holds the tokens in files in place of memory, and what an earlier call has done is not done again.
    """
    found = columns(config.readings, task.has_counts, config.combinations)
    sums, tokens = Sums(task, config, found), [] if kept is None else kept
    if kept is not None and kept.sums:
        sums.restore(kept.sums)
    missing = itertools.islice(enumerate(batches), len(tokens), None)
    for batch, (values, labels_MBT) in _ahead(score, params, missing, place):
        is_counted = [_is_counted(column, values) for column in found]
        sums.add(batch, labels_MBT, values, is_counted)
        tokens.append(_tokens(task, found, batch, *jax.device_get((labels_MBT, _of_tokens(values), is_counted))))
        if kept is not None:
            kept.save(sums.state)
        on_batch(len(tokens))
    return Evaluation(found, sums.read(), tasks.label_names(task.tables), tokens)


def headline(found: Evaluation) -> dict[str, float]:
    """The mean of every column, for the log."""
    return {f"validation/loss/{c.part.name.replace(' ', '_')}": _mean(t) for c, t in zip(found.columns, found.totals)}


def _mean(totals: Totals) -> float:
    return float(totals.nats_NC[:, 0].sum() / max(totals.tokens_NC[:, 0].sum(), 1))


def _ahead(score, params, numbered, place) -> Iterator:
    """Results in order, each read by the host only when the next batch is already on its way."""
    waiting = None
    for number, batch in numbered:
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


def _of_tokens(values: Mapping[str, Values]) -> dict[str, Values]:
    """Without what only sums read: of every token the probability of every class, far more than all the rest."""
    return {name: dataclasses.replace(value, gate_FBT=None, mass_KBT=None) for name, value in values.items()}


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
        if column.samples:
            tokens[f"{ERROR}/{column.part.name}"] = of_text(value.error_BT)
        if column.is_detailed and not column.within:
            told = TOLD | ({"share": SHARE} if column.is_combined else {})
            named = zip(DETAILS, value.details_KBT, strict=True)
            tokens |= {f"{told[name]}/{column.part.name}": of_text(x_BT) for name, x_BT in named if name in told}
    return tokens
