"""Reads a batch in every way a config names, on the devices: of each token of the text, what its prediction says.

An exact reading is one pass of the one-pass scorer; a reading with samples needs the NLL alone, of every sample.
"""

import dataclasses
import zlib
from collections.abc import Callable
from typing import Any, no_type_check

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int

from hybridlm.categories.tables import Tables
from hybridlm.config.evaluation import EvaluationConfig, Reading
from hybridlm.facts.loss_inputs import LossInputs
from hybridlm.masks import Mask
from hybridlm.objectives import single
from hybridlm.objectives.corruptions import Sample
from hybridlm.objectives.text import Text, from_batch
from hybridlm.scoring.chunks import anywhere
from hybridlm.scoring.layout import Layout, lay_out
from hybridlm.scoring.nll import token_nll
from hybridlm.scoring.sums import category_sums
from hybridlm.scoring.token_scores import metrics, token_scores
from hybridlm.sharding.rules import constrain as constraints
from hybridlm.training import placement
from hybridlm.training import task as tasks
from hybridlm.training.columns import UNIGRAM
from hybridlm.training.step import Batch
from hybridlm.training.task import Task

SCORED = "scored"
"""A column of rows that overlap: 1 for the tokens that count, 0 for those that are there as context alone."""
CHUNK = 1024
"""Tokens of a shard whose logits exist at once where the NLL alone is wanted."""
DETAILS = ("entropy", "brier", "confidence", "accuracy", "top_5", "reciprocal_rank", "rank", "margin")
"""What an exact reading says of a token beside its NLL."""


@no_type_check  # trees of its shapes and shardings exist too
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Values:
    """What one reading says of the tokens of a batch of text.

    Attributes:
      nats_BT: mean over the samples. is_counted_BT: which tokens it scores.
      samples_KC: sums by label of every sample; none where the reading is exact.
      details_KBT: the values named in DETAILS. gate_FBT: -log of the probability of the target's class, for every
        family that reads the token alone. Only an exact reading has them.
    """

    nats_BT: Float[Array, "B T"]
    is_counted_BT: Bool[Array, "B T"]
    samples_KC: Float[Array, "_ C"]
    details_KBT: Float[Array, "_ B T"]
    gate_FBT: Float[Array, "_ B T"]


@no_type_check
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Given:
    """Arrays that all batches share: label tables, their classes as a scorer visits them, and the baseline."""

    tables: Tables
    layout: Layout
    unigram_V: Float[Array, "V"]


@dataclasses.dataclass(frozen=True)
class Scorer:
    """(params, batch, batch number) -> `Values` by reading and, as UNIGRAM, of the baseline; and labels [M B T].

    Make it once per run: each one compiles by itself.
    """

    read: Callable
    given: Given

    def __call__(self, params: Any, batch: Batch, number: int | Array) -> tuple[dict[str, Values], Int[Array, "M B T"]]:
        return self.read(params, batch, self.given, number)


def scorer(task: Task, config: EvaluationConfig, also: Mask | None = None, mesh: Mesh | None = None) -> Scorer:
    """The scorer of a config; `also` is a user's own mask, joined by &. Its results lie on every device of `mesh`."""
    given = Given(tables=task.tables, layout=_layout(task, mesh), unigram_V=task.unigram_V.astype(np.float32))
    if mesh is None:
        return Scorer(jax.jit(_Reader(task, config, also)), given)
    ways = placement.shards(mesh)
    # rows that do not divide lie on every device
    how = {"groups": ways, "constrain": constraints(mesh)} if config.batch_rows % ways == 0 else {}
    read = jax.jit(_Reader(task, config, also, **how), out_shardings=placement.replicated(mesh))
    return Scorer(read, placement.everywhere(given, mesh))


def _layout(task: Task, mesh: Mesh | None) -> Layout:
    """The classes of all families that read the token alone: class c is the flat label c of the tables."""
    by_token_VF = np.asarray(task.tables.by_token_VF, np.int32)
    classes_VF = by_token_VF + np.array(task.tables.offsets[: by_token_VF.shape[1]], np.int32)
    size = task.model.padded_vocab(task.vocab_size)
    classes_VF = np.pad(classes_VF, ((0, size - len(classes_VF)), (0, 0)), mode="edge")
    return lay_out(size, classes_VF, shards=1 if mesh is None else mesh.shape["tensor"])


@dataclasses.dataclass(frozen=True, eq=False)
class _Reader:
    """What a batch is read by; `groups` and `constrain` as `token_scores` has them."""

    task: Task
    config: EvaluationConfig
    also: Mask | None
    groups: int = 1
    constrain: Callable = anywhere

    def __call__(self, params: Any, batch: Batch, given: Given, number: Array):
        columns = {name: batch[name] for name in given.tables.columns}
        labels_MBT = tasks.labels(given.tables, batch["tokens"], columns)
        text, is_scored_BT = from_batch(batch), batch[SCORED] > 0 if SCORED in batch else True
        nothing_KC = jnp.zeros((0, len(tasks.label_names(given.tables))))
        results = {UNIGRAM: _values(given.unigram_V[text.tokens_BT], text.is_target_BT & is_scored_BT, nothing_KC)}
        for name, reading in self.config.readings.items():
            # a reading's noise depends on its name, so that adding another one changes nothing
            key = jax.random.fold_in(jax.random.key(self.config.seed), zlib.crc32(name.encode()) % 2**31)
            key = jax.random.fold_in(key, number)
            one = self._sampled if reading.objective.is_bound else self._exact
            results[name] = one(name, reading, params, given.layout, text, is_scored_BT, labels_MBT, key)
        return results, labels_MBT

    def _exact(self, name: str, reading: Reading, params, layout: Layout, text: Text, is_scored_BT, labels_MBT, key):
        inputs = self._inputs(name, reading, text, key)
        # without a mask of needed tokens the number of chunks is known when the program is compiled
        needed_BT = None if reading.objective.is_autoregressive else inputs.score_weight_BT != 0
        scores = token_scores(
            *self._predictions(params, inputs),
            inputs.targets_BT,
            needed_BT,
            layout=layout,
            groups=self.groups,
            constrain=self.constrain,
        )
        nats_BT = inputs.score_weight_BT * scores.nll
        more = jnp.stack([nats_BT, *metrics(scores)[1:], scores.rank.astype(jnp.float32), scores.margin])
        found_KBT = jnp.concatenate([more, jnp.moveaxis(scores.gate, -1, 0)])
        found_KBT, is_counted_BT = in_text(inputs, found_KBT, text.tokens_BT.shape)
        nats_BT, details_KBT, gate_FBT = found_KBT[0], found_KBT[1 : len(more)], found_KBT[len(more) :]
        return Values(
            nats_BT=nats_BT,
            is_counted_BT=is_counted_BT & is_scored_BT,
            samples_KC=jnp.zeros((0, len(tasks.label_names(self.task.tables)))),
            details_KBT=details_KBT,
            gate_FBT=gate_FBT,
        )

    def _sampled(self, name: str, reading: Reading, params, layout: Layout, text: Text, is_scored_BT, labels_MBT, key):
        def one(sample):
            # the samples of a bound are shifts of one draw, so they share its key
            drawn = Sample(sample, reading.samples)
            inputs = self._inputs(name, reading, text, jax.random.clone(key), sample=drawn)
            how = {"groups": self.groups, "chunk": CHUNK, "constrain": self.constrain}
            needed_BT = inputs.score_weight_BT != 0
            nll_BT = token_nll(*self._predictions(params, inputs), inputs.targets_BT, needed_BT, **how)
            value_1BT, is_counted_BT = in_text(inputs, (inputs.score_weight_BT * nll_BT)[None], text.tokens_BT.shape)
            is_counted_BT &= is_scored_BT
            return value_1BT[0], is_counted_BT, self._sums(labels_MBT, value_1BT[0], is_counted_BT)

        value_KBT, is_counted_KBT, samples_KC = jax.lax.map(one, jnp.arange(reading.samples))
        return _values(value_KBT.mean(0), is_counted_KBT.all(0), samples_KC)

    def _inputs(self, name: str, reading: Reading, text: Text, key, sample: Sample | None = None) -> LossInputs:
        inputs = single.build(name, reading.objective, text, self.task.ids, key, sample=sample)
        return inputs if self.also is None else dataclasses.replace(inputs, mask=inputs.mask & self.also)

    def _predictions(self, params, inputs: LossInputs):
        return tasks.hidden(self.task, params, inputs, self.constrain), tasks.head(self.task, params)

    def _sums(self, labels_MBT, value_BT, is_counted_BT) -> Float[Array, "C"]:
        """Of one sample; the error of sampling is told by how these differ."""
        one_B, size = jnp.zeros(len(value_BT), jnp.int32), len(tasks.label_names(self.task.tables))
        return category_sums(labels_MBT, one_B, value_BT, is_counted_BT, parts=1, categories=size).total_PC[0]


def _values(nats_BT, is_counted_BT, samples_KC) -> Values:
    """Of a reading without details."""
    nothing = jnp.zeros((0, *nats_BT.shape))
    return Values(
        nats_BT=nats_BT,
        is_counted_BT=is_counted_BT,
        samples_KC=samples_KC,
        details_KBT=nothing,
        gate_FBT=nothing,
    )


def in_text(
    inputs: LossInputs, values_KBT: Float[Array, "K B T"], shape: tuple[int, int]
) -> tuple[Float[Array, "K R S"], Bool[Array, "R S"]]:
    """Moves values from where tokens are predicted to where they stand in the text, and says which were targets."""
    size = shape[0] * shape[1]
    place = jnp.where(inputs.target_index_BT >= 0, inputs.target_index_BT, size).reshape(-1)
    values = values_KBT.reshape(len(values_KBT), -1)
    values = jnp.zeros((len(values), size), jnp.float32).at[:, place].add(values, mode="drop")
    is_counted = jnp.zeros(size, bool).at[place].set(True, mode="drop")
    return values.reshape(-1, *shape), is_counted.reshape(shape)
