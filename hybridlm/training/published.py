"""A published model as something to read: its network, its tokenizer, and a user's text in its vocabulary.

Nobody knows its training counts, so there is no unigram beside it and no family of frequencies.
"""

import dataclasses
import importlib.util
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from etils import epath

from hybridlm import interop, masks
from hybridlm.categories.lexicon import WordRanks, ranks_of_wordfreq
from hybridlm.config.data import DataConfig
from hybridlm.config.errors import require
from hybridlm.config.evaluation import EvaluationConfig, Reading
from hybridlm.config.experiment import Experiment
from hybridlm.data import tokenizer_files
from hybridlm.data.prepare import EVALUATION, prepare_for_evaluation
from hybridlm.data.vocabulary import Vocabulary
from hybridlm.interop import Pretrained
from hybridlm.masks import Mask
from hybridlm.training import workdir
from hybridlm.training.session import task_of
from hybridlm.training.subject import Subject, changed, only
from hybridlm.training.task import Task

OVERRIDABLE = ("evaluation.", "mesh.", "model.dtype", "model.attention_backend", "data.row_length")
"""What may be changed about a published model: how it is read, not what it is."""
ROW_LENGTH = 1024
"""Of rows, unless the network was made for shorter ones."""
READING = "published"
UNSEEN_BOS = masks.custom(lambda q, k: k.position > 0)
"""For a network that knows no token that opens a text; relative positions are not changed by it."""


def subject(
    model: epath.PathLike,
    directory: epath.Path,
    *,
    data: str,
    readings: Sequence[str] = (),
    overrides: Mapping[str, str],
) -> Subject:
    """A directory of safetensors, or an id of the Hugging Face hub, to be read on the text `data`."""
    require(
        bool(data),
        f"--model={model} is a published model, and no held-out text belongs to it; name the text to score with "
        "--data=FILE_OR_DIRECTORY.",
    )
    where = interop.locate(model)
    network, tokenizer = interop.describe(where), tokenizer_files.load(where)
    experiment = changed(only(experiment_of(where, network), readings), overrides, OVERRIDABLE)
    lacking = range(network.vocab_size, tokenizer.vocab_size)
    has_bos = tokenizer.bos not in lacking
    _check(experiment, network, has_bos)
    if not has_bos:
        experiment = dataclasses.replace(experiment, mask=_joined(experiment.mask, UNSEEN_BOS))
    unseen_V = np.zeros(tokenizer.vocab_size, np.int64)
    vocabulary = Vocabulary(tokenizer, unseen_V, _word_ranks(), {}, ())
    directory.mkdir(parents=True, exist_ok=True)
    prepared = prepare_for_evaluation(data, vocabulary, experiment.data.row_length, directory / workdir.DATA)
    network = dataclasses.replace(network, config=experiment.model)
    task = published_task(experiment, network, prepared.vocabulary, prepared.rows(EVALUATION).names)

    def load(shapes):
        return interop.load_params(where, network, jax.tree.map(lambda x: x.sharding, shapes), rows=task.vocab_size)

    return Subject(
        experiment=experiment,
        task=task,
        prepared=prepared,
        split=EVALUATION,
        load=load,
        step=-1,
        lacking=lacking,
        fingerprints={
            "tokenizer": tokenizer.sha256,
            "data": prepared.manifest.fingerprint,
            "dtype": experiment.model.dtype,
            "weights": interop.fingerprint(where),
        },
    )


def experiment_of(directory: epath.Path, network: Pretrained) -> Experiment:
    """How a published network is read: as it was trained to predict."""
    return Experiment(
        name=directory.resolve().name,
        data=DataConfig(tokenizer=str(directory), row_length=min(network.context, ROW_LENGTH)),
        model=network.config,
        mask=network.mask,
        objectives={READING: network.objective},
        evaluation=EvaluationConfig(readings={READING: Reading(objective=network.objective)}),
    )


def published_task(experiment: Experiment, network: Pretrained, vocabulary: Vocabulary, columns: Sequence[str]) -> Task:
    """The task on a text: ids that only the network has stand for no bytes, and those it lacks are never predicted."""
    tokenizer = vocabulary.tokenizer
    holes = max(network.vocab_size - tokenizer.vocab_size, 0)
    wider = dataclasses.replace(
        vocabulary,
        tokenizer=dataclasses.replace(tokenizer, token_bytes=(*tokenizer.token_bytes, *[b""] * holes)),
        counts_V=np.pad(vocabulary.counts_V, (0, holes)),
    )
    task = task_of(experiment, wider, columns)
    never = tuple(range(network.vocab_size, tokenizer.vocab_size))
    mask = network.special.get("mask", task.ids.mask)
    return dataclasses.replace(task, ids=dataclasses.replace(task.ids, mask=mask, never=never))


def _check(experiment: Experiment, network: Pretrained, has_bos: bool) -> None:
    length = experiment.data.row_length
    require(
        length <= network.context,
        f"data.row_length={length} is longer than the {network.context} tokens that the network was made for; beyond "
        "them its predictions mean nothing.",
    )
    require(
        has_bos or not network.config.max_positions,
        "the network has learned positions and no BOS, with which every row opens here: all its positions would be "
        "off by one.",
    )


def _joined(mask: Mask | None, other: Mask) -> Mask:
    return other if mask is None else mask & other


def _word_ranks() -> WordRanks:
    """From lists of words, where they are installed; without ranks the families of rare words are left out."""
    return ranks_of_wordfreq() if importlib.util.find_spec("wordfreq") else {}
