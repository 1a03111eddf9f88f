"""Reads a batch in every way a config names, on the devices: of each token of the text, what its prediction says.

Where one prediction stands behind each value, it is scored by the one-pass scorer where its token stands; a bound, and
a mean over orders, need the NLL alone, of every sample or every set of masked tokens.
"""

import dataclasses
import zlib
from collections.abc import Callable, Mapping
from typing import Any, no_type_check

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from hybridlm import attention
from hybridlm.categories.tables import Tables
from hybridlm.combine.combined import Frequencies
from hybridlm.config.errors import require
from hybridlm.config.evaluation import EvaluationConfig, Reading
from hybridlm.config.written_combinations import column
from hybridlm.evaluation import combined, predictions
from hybridlm.evaluation import task as tasks
from hybridlm.evaluation.columns import UNIGRAM
from hybridlm.evaluation.predictions import Network, Prediction, in_text, is_predicted
from hybridlm.evaluation.task import Batch, Task
from hybridlm.evaluation.values import Values, made, of_scores
from hybridlm.masks import Mask
from hybridlm.objectives import single
from hybridlm.objectives.corruptions import Sample
from hybridlm.objectives.text import Text, from_batch
from hybridlm.scoring.chunks import anywhere
from hybridlm.scoring.layout import Layout, lay_out
from hybridlm.scoring.order_mixture import exact_bound, order_mixture
from hybridlm.scoring.sums import category_sums
from hybridlm.scoring.token_scores import token_scores
from hybridlm.sharding import placement, rules
from hybridlm.sharding.attention import planner

SCORED = "scored"
"""A column of rows that overlap: 1 for the tokens that count, 0 for those that are there as context alone."""


@no_type_check
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Given:
    """Arrays that all batches share: label tables, their classes as a scorer visits them, the baseline, what gates know
    of ids, and the parameters of other networks."""

    tables: Tables
    layout: Layout
    unigram_V: Float[Array, "V"]
    frequencies: Mapping[str, Frequencies]
    others: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Other:
    """A network that readings name beside the model's own. Attributes: also: its own mask, joined by &."""

    task: Task
    also: Mask | None
    params: Any


@dataclasses.dataclass(frozen=True)
class Scorer:
    """(params, batch, batch number) -> `Values` by reading and, as UNIGRAM, of the baseline; and labels [M B T].

    Make it once per run: each one compiles by itself.
    """

    read: Callable
    given: Given

    def __call__(self, params: Any, batch: Batch, number: int | Array) -> tuple[dict[str, Values], Int[Array, "M B T"]]:
        return self.read(params, batch, self.given, number)


def scorer(
    task: Task,
    config: EvaluationConfig,
    also: Mask | None = None,
    mesh: Mesh | None = None,
    others: Mapping[str, Other] | None = None,
) -> Scorer:
    """The scorer of a config; `also` is a user's own mask, joined by &. Its results lie on every device of `mesh`.

    `others` are the networks that readings name, where their parameters lie already.
    """
    others = others or {}
    missing = [name for name, reading in config.readings.items() if reading.network and reading.network not in others]
    require(
        not missing,
        f"evaluation.readings.{', '.join(missing)} names the network of another run, and training reads its own alone. "
        "Leave it out of the config; `hybridlm evaluate --readings=NAME@RUN` joins the two when both are trained.",
    )
    params = {run: other.params for run, other in others.items()}
    given = Given(
        tables=task.tables,
        layout=_layout(task, mesh),
        unigram_V=task.unigram_V.astype(np.float32),
        frequencies={name: combined.frequencies(task, one) for name, one in config.combinations.items()},
        others={},
    )
    if mesh is None:
        reader = _Reader(task, config, also, others)
        return Scorer(jax.jit(reader), dataclasses.replace(given, others=params))
    ways = placement.shards(mesh)
    # rows that do not divide lie on every device
    how = {"groups": ways, "constrain": rules.constrain(mesh)} if config.batch_rows % ways == 0 else {}
    how["plan"] = planner(mesh)
    read = jax.jit(_Reader(task, config, also, others, **how), out_shardings=placement.replicated(mesh))
    return Scorer(read, dataclasses.replace(placement.everywhere(given, mesh), others=params))


def _layout(task: Task, mesh: Mesh | None) -> Layout:
    """The classes of all families that read the token alone: class c is the flat label c of the tables."""
    by_token_VF = np.asarray(task.tables.by_token_VF, np.int32)
    classes_VF = by_token_VF + np.array(task.tables.offsets[: by_token_VF.shape[1]], np.int32)
    size = task.model.padded_vocab(task.vocab_size)
    classes_VF = np.pad(classes_VF, ((0, size - len(classes_VF)), (0, 0)), mode="edge")
    layout = lay_out(size, classes_VF, shards=1 if mesh is None else rules.parts(mesh, "vocab"))
    # a class that no id has counts too
    count = sum(len(family.labels) for family in task.tables.families[: by_token_VF.shape[1]])
    return dataclasses.replace(layout, count=count)


@dataclasses.dataclass(frozen=True, eq=False)
class _Reader:
    """What a batch is read by; `groups` and `constrain` as `token_scores` has them, `plan` as the network."""

    task: Task
    config: EvaluationConfig
    also: Mask | None
    others: Mapping[str, Other]
    groups: int = 1
    constrain: Callable = anywhere
    plan: Callable = attention.plan

    def network(self, run: str, params: Any, given: Given) -> Network:
        """The model's own network, or that of another run."""
        spread = (self.groups, self.constrain, self.plan)
        if not run:
            return Network(self.task, params, self.also, *spread)
        other = self.others[run]
        return Network(other.task, given.others[run], other.also, *spread)

    def __call__(self, params: Any, batch: Batch, given: Given, number: Array):
        columns = {name: batch[name] for name in given.tables.columns}
        labels_MBT = tasks.labels(given.tables, batch["tokens"], columns)
        text, is_scored_BT = from_batch(batch), batch[SCORED] > 0 if SCORED in batch else True
        results = {UNIGRAM: made(given.unigram_V[text.tokens_BT], text.is_target_BT & is_scored_BT)}
        found, heads = {}, {}
        for name, reading in self.config.readings.items():
            # a reading's noise depends on its name, so that adding another one changes nothing, but not on the network
            own = name.removesuffix(column(f"@{reading.network}")) if reading.network else name
            key = jax.random.fold_in(jax.random.key(self.config.seed), zlib.crc32(own.encode()) % 2**31)
            key = jax.random.fold_in(key, number)
            network = self.network(reading.network, params, given)
            if reading.has_predictions:
                one = predictions.of_reading(network, name, reading, text, given.tables, key)
                heads[name] = network.head
                found[name] = dataclasses.replace(one, is_counted_RS=one.is_counted_RS & is_scored_BT)
                # without a mask of needed tokens the number of chunks is known when the program is compiled
                needed_BT = None if reading.objective.is_autoregressive else found[name].is_counted_RS
                results[name] = _told(network, found[name], text, given.layout, needed_BT)
            elif reading.is_sampled:
                results[name] = self._sampled(network, name, reading, text, is_scored_BT, labels_MBT, key)
            else:
                results[name] = _of_sets(network, reading, text, is_scored_BT)
        for name, combination in self.config.combinations.items():
            how = {"layout": given.layout, "groups": self.groups, "constrain": self.constrain}
            told = combined.told(combination, found, heads, text.tokens_BT, given.frequencies[name], **how)
            results[name] = of_scores(told.scores, told.is_counted_RS)
        return results, labels_MBT

    def _sampled(self, network: Network, name: str, reading: Reading, text: Text, is_scored_BT, labels_MBT, key):
        def one(sample):
            # the samples of a bound are shifts of one draw, so they share its key
            drawn = Sample(sample, reading.samples)
            inputs = single.build(name, reading.scored, text, self.task.ids, jax.random.clone(key), sample=drawn)
            value_BT = in_text(inputs, network.weighted_nll(inputs), text.tokens_BT.shape)
            is_counted_BT = is_predicted(inputs, text.tokens_BT.shape) & is_scored_BT
            return value_BT, is_counted_BT, self._sums(labels_MBT, value_BT, is_counted_BT)

        value_KBT, is_counted_KBT, samples_KC = jax.lax.map(one, jnp.arange(reading.samples))
        return made(
            value_KBT.mean(0),
            is_counted_KBT.all(0),
            error_BT=value_KBT.std(0, ddof=1) / reading.samples**0.5,
            samples_KC=samples_KC,
            total=samples_KC[:, 0].mean(),
        )

    def _sums(self, labels_MBT, value_BT, is_counted_BT) -> Float[Array, "C"]:
        """Of one sample; the error of sampling is told by how these differ."""
        one_B, size = jnp.zeros(len(value_BT), jnp.int32), len(tasks.label_names(self.task.tables))
        return category_sums(labels_MBT, one_B, value_BT, is_counted_BT, parts=1, categories=size).total_PC[0]


def _told(network: Network, found: Prediction, text: Text, layout: Layout, needed_BT) -> Values:
    """Everything that one prediction per token says."""
    how = {"layout": layout, **network.spread}
    scores = token_scores(found.hidden_RSD, network.head, text.tokens_BT, needed_BT, **how)
    return of_scores(scores, found.is_counted_RS)


def _of_sets(network: Network, reading: Reading, text: Text, is_scored_BT) -> Values:
    """The exact bound or likelihood of blocks, from the NLL of every token in every set of masked ones."""
    of_sets = {"enumeration": exact_bound, "order_mixture": order_mixture}[reading.estimator]
    nats_BT, total = predictions.over_sets(network, reading, text, of_sets)
    return made(nats_BT, text.is_target_BT & is_scored_BT, total=total)
