"""A published model as something to read: its network, its tokenizer, and a user's text in its vocabulary.

Nobody knows its training counts, so there is no unigram beside it and no family of frequencies.
"""

import dataclasses
import functools
import importlib.util
import os
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from etils import epath
from jaxtyping import PyTree

from hybridlm import interop, masks
from hybridlm.categories.lexicon import WordRanks, ranks_of_wordfreq
from hybridlm.config.data import DataConfig
from hybridlm.config.errors import require
from hybridlm.config.evaluation import EvaluationConfig, Reading
from hybridlm.config.experiment import Experiment
from hybridlm.config.near_paths import near
from hybridlm.data import tokenizer_files
from hybridlm.data.damage import sha256
from hybridlm.data.prepare import EVALUATION, prepare_for_evaluation
from hybridlm.data.vocabulary import Vocabulary
from hybridlm.evaluation.task import Task, task_of
from hybridlm.interop import Pretrained
from hybridlm.masks import Mask
from hybridlm.offline.subject import Subject, changed, only
from hybridlm.storage import workdir

OVERRIDABLE = ("evaluation.", "mesh.", "model.dtype", "model.attention_backend", "data.row_length")
"""What may be changed about a published model: how it is read, not what it is."""
ROW_LENGTH = 1024
"""Of rows, unless the network was made for shorter ones."""
READING = "published"
GGUF = ".gguf"
UNSEEN_BOS = masks.custom(lambda q, k: k.position > 0)
"""For a network that knows no token that opens a text; relative positions are not changed by it."""


@dataclasses.dataclass(frozen=True)
class Published:
    """A network, how it is read, and the vocabulary of its tokenizer; `lacking`: ids that only the tokenizer has."""

    directory: epath.Path
    network: Pretrained
    experiment: Experiment
    vocabulary: Vocabulary
    lacking: range

    @property
    def has_bos(self) -> bool:
        """Does the network know the token that opens every text here?"""
        return self.vocabulary.tokenizer.bos not in self.lacking

    def task(self, vocabulary: Vocabulary, columns: Sequence[str] = ()) -> Task:
        """The task on text in its vocabulary, with these columns."""
        return published_task(self.experiment, self.network, vocabulary, columns)

    def load(self, task: Task, shapes: PyTree) -> PyTree:
        """The parameters, where their shapes say."""
        where = jax.tree.map(lambda x: x.sharding, shapes)
        return interop.load_params(self.directory, self.network, where, rows=task.vocab_size)


def find(model: epath.PathLike, readings: Sequence[str], overrides: Mapping[str, str]) -> Published:
    """A directory of safetensors, an id of the Hugging Face hub, or a GGUF file."""
    where = located(model)
    network, tokenizer = interop.describe(where), tokenizer_files.load(where)
    experiment = changed(only(experiment_of(where, network), readings), overrides, OVERRIDABLE)
    lacking = range(network.vocab_size, tokenizer.vocab_size)
    has_bos = tokenizer.bos not in lacking
    _check(experiment, network, has_bos)
    if not has_bos:
        experiment = dataclasses.replace(experiment, mask=_joined(experiment.mask, UNSEEN_BOS))
    unseen_V = np.zeros(tokenizer.vocab_size, np.int64)
    vocabulary = Vocabulary(tokenizer, unseen_V, _word_ranks(), {}, ())
    network = dataclasses.replace(network, config=experiment.model)
    return Published(where, network, experiment, vocabulary, lacking)


def is_published(model: epath.PathLike) -> bool:
    """True for published weights in a directory or a GGUF file, and for a name that only the hub may know."""
    here = epath.Path(model)
    if here.exists():
        return here.suffix == GGUF or interop.is_published(here)
    return not here.is_absolute() and str(model).count("/") == 1


def located(model: epath.PathLike) -> epath.Path:
    """The directory of a model; a GGUF file is turned into one once, in the user's cache."""
    file = epath.Path(model)
    if file.suffix != GGUF:
        return interop.locate(model)
    cache = epath.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    directory = cache / "hybridlm" / f"{file.stem}-{sha256(file)[:16]}"
    interop.convert_gguf(file, directory)
    return directory


def check(model: epath.PathLike, step: int, data: str) -> None:
    """Refuses to score what a published model has not."""
    require(step == -1, f"--step={step} has no meaning for a published model, which is one checkpoint.")
    require(
        bool(data),
        f"{_what(model)}, and no held-out text belongs to it; name the text to score with --data=FILE_OR_DIRECTORY.",
    )


def subject(found: Published, directory: epath.Path, *, data: str) -> Subject:
    """A published model, to be read on the text `data`, whose rows go to `directory`."""
    row_length = found.experiment.data.row_length
    prepared = prepare_for_evaluation(data, found.vocabulary, row_length, directory / workdir.DATA)
    task = found.task(prepared.vocabulary, prepared.rows(EVALUATION).names)
    return Subject(
        experiment=found.experiment,
        task=task,
        prepared=prepared,
        split=EVALUATION,
        load=functools.partial(found.load, task),
        step=-1,
        lacking=found.lacking,
        fingerprints={
            "tokenizer": prepared.tokenizer.sha256,
            "data": prepared.manifest.fingerprint,
            "dtype": found.experiment.model.dtype,
            "weights": interop.fingerprint(found.directory),
        },
    )


def _what(model: epath.PathLike) -> str:
    """What a name stands for; it may be that of a run, misspelt."""
    if epath.Path(model).exists():
        return f"{str(model)!r} is a published model"
    hint = near(epath.Path(model), lambda path: path.is_dir())
    return f"there is no directory {str(model)!r} here{hint} So a model of the Hugging Face hub is meant"


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
