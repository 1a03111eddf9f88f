"""Reads a model on held-out rows: each way of reading gives one value per token, summed by category and split group.

The same function serves the end of training and the offline evaluation of a checkpoint, so both give the same numbers.
"""

import dataclasses
import functools
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from hybridlm.categories.tables import Tables
from hybridlm.config.evaluation import EvaluationConfig, Reading
from hybridlm.data.rows import Rows
from hybridlm.facts.kinds import ScoreKind
from hybridlm.facts.loss_inputs import LossInputs, Part
from hybridlm.masks import Mask
from hybridlm.objectives import single
from hybridlm.objectives.corruptions import Sample
from hybridlm.objectives.text import from_batch
from hybridlm.scoring.nll import token_nll
from hybridlm.scoring.sums import category_sums
from hybridlm.training import task as tasks
from hybridlm.training.step import Batch
from hybridlm.training.task import Task

ALL_TARGETS = "all scored tokens"
PLACES = ("document", "group", "language", "tokens", "positions")
"""Columns of a batch that say where a token stands; they go beside its values."""
HEAD_CHUNK = 1024
"""Tokens whose logits exist at once."""
UNIGRAM = "unigram"
"""The baseline column: what the training frequencies of ids alone say."""


@dataclasses.dataclass(frozen=True)
class Column:
    """One column of a report.

    Attributes:
      part: its name, what its values mean, and what a prediction saw. samples: Monte-Carlo samples, 0 where exact.
      targets: which tokens it scores. reading: the reading it comes from. within: another whose targets it keeps to.
    """

    part: Part
    samples: int
    targets: str
    reading: str
    within: str = ""


@dataclasses.dataclass
class Totals:
    """Sums of one column: in nats and tokens by split group and label; by sample and label; bytes of the text scored.
    Groups are numbered as in the column `group`; those of other splits have no tokens."""

    nats_NC: Float[np.ndarray, "N C"]
    tokens_NC: Int[np.ndarray, "N C"]
    samples_KC: Float[np.ndarray, "K C"]
    bytes: int = 0


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Attributes: columns, and their totals in the same order. labels: (family, label) of every C. tokens: arrays of a
    batch, with the place, id, label in every family, and value under every column, of each scored token."""

    columns: tuple[Column, ...]
    totals: tuple[Totals, ...]
    labels: tuple[tuple[str, str], ...]
    tokens: list[dict[str, np.ndarray]]


def columns(readings: Mapping[str, Reading]) -> tuple[Column, ...]:
    """One column per reading; beside one of some targets alone, the autoregressive one and the baseline on the same."""
    found = []
    left_to_right = next((n for n, r in readings.items() if r.objective.is_autoregressive), None)
    for name, reading in readings.items():
        part = single.part(name, reading.objective)
        some, targets = _targets(name, reading)
        found.append(Column(part, reading.samples if part.kind == ScoreKind.SHARE else 0, targets, name))
        if some and left_to_right:
            other = single.part(f"{left_to_right} {some}", readings[left_to_right].objective)
            found.append(Column(other, 0, targets, left_to_right, within=name))
        if some:
            found.append(Column(_unigram_part(f"{UNIGRAM} {some}"), 0, targets, UNIGRAM, within=name))
    return (*found, Column(_unigram_part(UNIGRAM), 0, ALL_TARGETS, UNIGRAM))


def _targets(name: str, reading: Reading) -> tuple[str, str]:
    """How columns on the targets of a reading are called, if these are not all tokens, and which they are in words."""
    if reading.objective.layout == "prefix":
        return f"after {name}", "tokens after the prefix"
    if reading.objective.builder or reading.objective.corruption == "masked_lm":
        return f"on {name}", f"tokens that {name} predicts"
    return "", ALL_TARGETS


def _unigram_part(name: str) -> Part:
    return Part(name, ScoreKind.EXACT, "nothing: training frequencies alone")


def batches(rows: Rows, config: EvaluationConfig) -> Iterator[dict[str, np.ndarray]]:
    """The rows to read: all, or `config.rows` spread evenly over the split; the last batch is filled with padding."""
    count = min(config.rows or len(rows), len(rows))
    picked = np.arange(count) * len(rows) // count
    for first in range(0, count, config.batch_rows):
        columns = rows.read(picked[first : first + config.batch_rows])
        missing = config.batch_rows - len(columns["tokens"])
        yield {name: np.pad(column, ((0, missing), (0, 0))) for name, column in columns.items()}


def batch_count(rows: Rows, config: EvaluationConfig) -> int:
    """How many batches `batches` gives."""
    return -(-min(config.rows or len(rows), len(rows)) // config.batch_rows)


def scorer(
    task: Task, config: EvaluationConfig, also: Mask | None = None, where: jax.sharding.Sharding | None = None
) -> Callable:
    """Jitted (params, batch, tables, batch number) -> by reading: values, who counts, sums per sample; and labels.

    Make it once per run: each one compiles by itself. `also` is a user's own mask, joined by &; results lie `where`.
    """
    return jax.jit(functools.partial(_score, task, config, also), out_shardings=where)


def _score(
    task: Task, config: EvaluationConfig, also: Mask | None, params: Any, batch: Batch, tables: Tables, number: Array
):
    labels_MBT = tasks.labels(tables, batch["tokens"], {name: batch[name] for name in tables.columns})
    results = {}
    for name, reading in config.readings.items():
        # a reading's noise depends on its name, so that adding another one changes nothing
        key = jax.random.fold_in(jax.random.key(config.seed), zlib.crc32(name.encode()) % 2**31)
        key = jax.random.fold_in(key, number)
        results[name] = _read(task, name, reading, also, params, batch, labels_MBT, key)
    return results, labels_MBT


def _read(task: Task, name: str, reading: Reading, also, params, batch: Batch, labels_MBT, key):
    """Mean value per token of the text over the samples, who is counted, and category sums of every sample."""
    text = from_batch(batch)
    samples = reading.samples if reading.objective.is_bound else 1

    def one(sample):
        drawn = Sample(sample, samples) if reading.objective.is_bound else None
        # the samples of a bound are shifts of one draw, so they share its key
        inputs = single.build(name, reading.objective, text, task.ids, jax.random.clone(key), sample=drawn)
        inputs = inputs if also is None else dataclasses.replace(inputs, mask=inputs.mask & also)
        value_BT, is_counted_BT = in_text(inputs, _cost(task, params, inputs), text.tokens_BT.shape)
        sums = category_sums(
            labels_MBT,
            jnp.zeros(value_BT.shape[0], jnp.int32),
            value_BT,
            is_counted_BT,
            parts=1,
            categories=len(tasks.label_names(task.tables)),
        )
        return value_BT, is_counted_BT, sums.total_PC[0]

    value_KBT, is_counted_KBT, sums_KC = jax.lax.map(one, jnp.arange(samples))
    return value_KBT.mean(0), is_counted_KBT.all(0), sums_KC


def _cost(task: Task, params: Any, inputs: LossInputs) -> Float[Array, "B T"]:
    h_BTD = tasks.hidden(task, params, inputs)
    needed_BT = inputs.score_weight_BT != 0
    nll_BT = token_nll(h_BTD, tasks.head(task, params), inputs.targets_BT, needed_BT, chunk=HEAD_CHUNK)
    return inputs.score_weight_BT * nll_BT


def in_text(
    inputs: LossInputs, value_BT: Float[Array, "B T"], shape: tuple[int, int]
) -> tuple[Float[Array, "R S"], Bool[Array, "R S"]]:
    """Moves values from where tokens are predicted to where they stand in the text, and says which were targets."""
    size = shape[0] * shape[1]
    place = jnp.where(inputs.target_index_BT >= 0, inputs.target_index_BT, size).reshape(-1)
    value = jnp.zeros(size, jnp.float32).at[place].add(value_BT.reshape(-1), mode="drop")
    is_counted = jnp.zeros(size, bool).at[place].set(True, mode="drop")
    return value.reshape(shape), is_counted.reshape(shape)


def evaluate(
    task: Task,
    config: EvaluationConfig,
    score: Callable,
    params: Any,
    batches: Iterable[dict[str, np.ndarray]],
    *,
    place: Callable[[dict[str, np.ndarray]], Batch] = jax.device_put,
    on_batch: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Scores all batches with a `scorer`. `place` puts rows on devices; `on_batch` hears how many are done."""
    tables = jax.device_put(task.tables)
    found = columns(config.readings)
    labels = tasks.label_names(task.tables)
    totals = tuple(_empty(column, len(labels)) for column in found)
    tokens = []
    for done, (batch, (results, labels_MBT)) in enumerate(_ahead(score, params, tables, batches, place)):
        values = {name: jax.device_get(result) for name, result in results.items()}
        values[UNIGRAM] = _unigram_values(task, batch)
        tokens.append(_add(found, totals, values, np.asarray(labels_MBT), batch, task))
        on_batch(done + 1)
    return Evaluation(found, totals, labels, tokens)


def _ahead(score, params, tables, batches, place) -> Iterator:
    """Results in order, each read by the host only when the next batch is already on its way."""
    waiting = None
    for number, batch in enumerate(batches):
        result = (batch, score(params, place(batch), tables, number))
        if waiting:
            yield waiting
        waiting = result
    if waiting:
        yield waiting


def _empty(column: Column, labels: int) -> Totals:
    return Totals(np.zeros((0, labels)), np.zeros((0, labels), np.int64), np.zeros((max(column.samples, 1), labels)))


def _unigram_values(task: Task, batch):
    is_counted_BT = (batch["segment_ids"] > 0) & (batch["positions"] > 0)
    return np.where(is_counted_BT, task.unigram_V[batch["tokens"]], 0), is_counted_BT, None


def _add(found, totals: tuple[Totals, ...], values, labels_MBT, batch, task: Task) -> dict[str, np.ndarray]:
    """Adds a batch to the totals in place; returns its tokens with the value of every column."""
    is_text_BT = (batch["segment_ids"] > 0) & (batch["positions"] > 0)
    tokens = {name: batch[name][is_text_BT] for name in PLACES if name in batch}
    for number, family in enumerate(task.tables.families, 1):
        # flat label 0 is "all", and each family's own labels begin at its offset
        tokens[family.name] = labels_MBT[number][is_text_BT] - task.tables.offsets[number - 1] - 1
    for column, total in zip(found, totals, strict=True):
        value_BT, is_counted_BT, samples_KC = values[column.reading]
        if column.within:
            is_counted_BT = is_counted_BT & values[column.within][1]
        elif samples_KC is not None:
            total.samples_KC += samples_KC
        _by_group(total, value_BT, is_counted_BT, labels_MBT, batch["group"])
        total.bytes += int(task.byte_lengths_V[batch["tokens"][is_counted_BT]].sum())
        tokens[column.part.name] = np.where(is_counted_BT, value_BT, np.nan)[is_text_BT].astype(np.float32)
    return tokens


def _by_group(total: Totals, value_BT, is_counted_BT, labels_MBT, group_BT) -> None:
    """Adds values to their group and to one label of every family, in float64 and whole numbers."""
    rows, labels = total.nats_NC.shape
    more = max(int(group_BT.max()) + 1 - rows, 0)
    total.nats_NC = np.pad(total.nats_NC, ((0, more), (0, 0)))
    total.tokens_NC = np.pad(total.tokens_NC, ((0, more), (0, 0)))
    shape, value = total.nats_NC.shape, value_BT[is_counted_BT].astype(np.float64)
    for labels_BT in labels_MBT:
        flat = group_BT[is_counted_BT] * labels + labels_BT[is_counted_BT]
        total.nats_NC += np.bincount(flat, value, minlength=total.nats_NC.size).reshape(shape)
        total.tokens_NC += np.bincount(flat, minlength=total.nats_NC.size).reshape(shape)
