"""What training and evaluation share: the network with its attention and head, the ids, and the labels of tokens."""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from hybridlm import attention
from hybridlm.categories import registry
from hybridlm.categories.tables import Tables, build, flat_labels
from hybridlm.config.errors import require
from hybridlm.config.experiment import Experiment
from hybridlm.config.model import ModelConfig
from hybridlm.data.vocabulary import Vocabulary
from hybridlm.facts.head import Head
from hybridlm.facts.loss_inputs import LossInputs
from hybridlm.models import decoder
from hybridlm.objectives.text import Ids
from hybridlm.scoring.unigram import log_unigram, unigram_nll

Batch = dict[str, Int[Array, "B T"]]
"""The columns of some rows."""
COUNTED = ("frequency_mass", "frequency_rank")
"""Families of how often an id stands in the training text."""


@dataclasses.dataclass(frozen=True)
class Task:
    """Everything static about a run once its vocabulary is known.

    Attributes:
      model: the network's shape. vocab_size: the tokenizer's. ids: the mask token and what is never predicted.
      tables: label tables. unigram_V: NLL of each id under the training counts, in nats. log_unigram_V: the bias that
        starts there. has_counts: whether there are training counts.
      byte_lengths_V: bytes each id stands for.
    """

    model: ModelConfig
    vocab_size: int
    ids: Ids
    tables: Tables
    unigram_V: Float[np.ndarray, "V"]
    log_unigram_V: Float[np.ndarray, "V"]
    byte_lengths_V: Int[np.ndarray, "V"]
    has_counts: bool = True


def make(
    experiment: Experiment,
    token_bytes: Sequence[bytes],
    counts_V: Int[np.ndarray, "V"],
    special: Mapping[str, int],
    domains: Sequence[str] = (),
    columns: Collection[str] = ("word_band", "language"),
) -> Task:
    """The task of an experiment on a vocabulary, given as the bytes and the training count of every id, the ids of
    "pad", "bos", "eos" and "mask", the names of domains, and the columns of its rows. Refused where the model's
    vocabulary is another one."""
    size, model = len(token_bytes), experiment.model
    require(
        model.vocab_size in (0, size),
        f"model.vocab_size={model.vocab_size} is not the tokenizer's vocabulary of {size} ids, so some ids would have "
        "no embedding or never occur; leave model.vocab_size at 0, and pad with model.vocab_multiple.",
    )
    # a vocabulary may open and end its texts with one token, and the end is predicted
    never = tuple(sorted({special["pad"], special["bos"], special["mask"]} - {special["eos"]}))
    predictable = np.setdiff1d(np.arange(size), never)
    columns = columns if domains else set(columns) - {"language"}
    has_counts = bool(np.any(counts_V))
    families = [family for family in registry.families() if has_counts or family.name not in COUNTED]
    return Task(
        model=model,
        vocab_size=size,
        ids=Ids(mask=special["mask"], never=never, size=size),
        tables=build(token_bytes, counts_V, special, domains, columns=columns, families=families),
        unigram_V=unigram_nll(counts_V, predictable),
        log_unigram_V=log_unigram(counts_V, predictable),
        byte_lengths_V=np.array([len(token) for token in token_bytes]),
        has_counts=has_counts,
    )


def task_of(experiment: Experiment, vocabulary: Vocabulary, columns: Sequence[str] = ()) -> Task:
    """The task of an experiment on prepared text with these columns."""
    registry.load(experiment.data.label_modules)
    tokenizer = vocabulary.tokenizer
    special = {name: getattr(tokenizer, name) for name in ("pad", "bos", "eos", "mask")}
    return make(experiment, tokenizer.token_bytes, vocabulary.counts_V, special, vocabulary.domains, columns)


def init(task: Task, key: Array) -> dict:
    """Fresh parameters; a bias on the logits starts at the log unigram, so that learning starts from the baseline."""
    params = decoder.init(task.model, task.vocab_size, key)
    if task.model.head_bias:
        padding = params["head"]["bias"].size - task.vocab_size
        params["head"]["bias"] = jnp.pad(jnp.asarray(task.log_unigram_V), (0, padding))
    return params


def hidden(
    task: Task,
    params: Any,
    inputs: LossInputs,
    constrain: Callable = decoder.anywhere,
    plan: Callable = attention.plan,
) -> Float[Array, "B T D"]:
    """Hidden states of a batch of any objectives: one mask, prepared once by `plan` and shared by all layers. Before
    the first target they may be 0."""
    planned = plan(
        inputs.mask,
        inputs.facts,
        dtype=task.model.dtype,
        head_width=task.model.key_width,
        backend=task.model.attention_backend,
    )
    first = 0 if planned.stretch else inputs.first_target  # the rest of a row that is cut would have to be cut anew
    h_BTD, _ = decoder.apply(
        task.model,
        task.vocab_size,
        params,
        inputs.inputs_BT,
        inputs.facts,
        planned.mix,
        noise_BT=inputs.noise_BT,
        constrain=constrain,
        first=first,
    )
    h_BTD = jnp.pad(h_BTD, ((0, 0), (first, 0), (0, 0)))
    return constrain(h_BTD, ("batch", "row", "model"))


def head(task: Task, params: Any) -> Head:
    """The map from hidden states to logits; padding, BOS and the mask token are never predicted."""
    return decoder.head(params, task.model, task.vocab_size, task.ids.never)


def labels(tables: Tables, tokens: Int[Array, "B T"], columns: dict[str, Int[Array, "B T"]]) -> Int[Array, "M B T"]:
    """Flat labels of tokens; label 0 is "all tokens", so that totals are summed like any category."""
    families = flat_labels(tables, tokens, columns) + 1
    return jnp.concatenate([jnp.zeros_like(families[:1]), families])


def label_names(tables: Tables) -> tuple[tuple[str, str], ...]:
    """(family, label) of every flat label."""
    return (("all", "all"), *tables.names)


def target_columns(
    inputs: LossInputs, columns: dict[str, Int[Array, "R S"]], names: Sequence[str]
) -> dict[str, Int[Array, "B T"]]:
    """The named columns of the text, gathered to where each target is predicted."""
    place = jnp.maximum(inputs.target_index_BT, 0)
    return {name: columns[name].reshape(-1)[place] for name in names}


def abstract_params(task: Task) -> Any:
    """Shapes and dtypes of the parameters; allocates nothing."""
    return jax.eval_shape(lambda: decoder.init(task.model, task.vocab_size, jax.random.key(0)))
