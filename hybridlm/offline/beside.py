"""The networks of other runs that readings name, opened beside a model's own, so that a combination may join both."""

import dataclasses
import hashlib
from collections.abc import Mapping

from etils import epath
from jax.sharding import Mesh

from hybridlm.combine.combined import check_vocabularies
from hybridlm.config import trained
from hybridlm.config.errors import require
from hybridlm.config.evaluation import Reading
from hybridlm.config.experiment import Experiment
from hybridlm.data.tokenizer import Tokenizer
from hybridlm.data.vocabulary import load_vocabulary
from hybridlm.evaluation import kernels
from hybridlm.evaluation.readings import Other
from hybridlm.evaluation.task import Task, task_of
from hybridlm.offline.opened import Checkpoint, on_mesh, saved
from hybridlm.storage import digests, workdir


@dataclasses.dataclass(frozen=True)
class Beside:
    """Another run at its newest valid step. Attributes: task: of its network."""

    experiment: Experiment
    task: Task
    found: Checkpoint

    @property
    def weights(self) -> str:
        """A hash of its parameters."""
        seal = self.found.source / workdir.CHECKPOINTS / str(self.found.step) / digests.MANIFEST
        return hashlib.sha256(seal.read_bytes()).hexdigest()

    def load(self, mesh: Mesh) -> Other:
        """The network, its parameters on a mesh."""
        return Other(self.task, self.experiment.mask, on_mesh(self.task, mesh, self.found.load))


def check(readings: Mapping[str, Reading], row_length: int, tokenizer: Tokenizer) -> None:
    """Raises ConfigError where a run that a reading names cannot be read on such rows; reads no weights."""
    for name, reading in _named(readings).items():
        _check(f"reading {name!r}", reading, row_length, tokenizer)


def found(readings: Mapping[str, Reading], task: Task) -> dict[str, Beside]:
    """Every other run that a reading names, by its directory."""
    runs = {run: _found(run) for run in dict.fromkeys(reading.network for reading in _named(readings).values())}
    for run, other in runs.items():
        check_vocabularies(("this model", run), [one.model.padded_vocab(one.vocab_size) for one in (task, other.task)])
    return runs


def _named(readings: Mapping[str, Reading]) -> dict[str, Reading]:
    """Those of other runs."""
    return {name: reading for name, reading in readings.items() if reading.network}


def _found(run: str) -> Beside:
    read = saved(epath.Path(run), -1, (), {}).read()
    vocabulary = load_vocabulary(read.source / workdir.VOCABULARY)
    return Beside(read.experiment, task_of(read.experiment, vocabulary), read)


def _check(where: str, reading: Reading, row_length: int, tokenizer: Tokenizer) -> None:
    run = reading.network
    other = saved(epath.Path(run), -1, (), {}).experiment
    kernels.check(other.model)
    theirs, length = load_vocabulary(epath.Path(run) / workdir.VOCABULARY).tokenizer, other.data.row_length
    require(
        theirs.sha256 == tokenizer.sha256,
        f"{where} reads the network of {run}, which was trained with another tokenizer, so its probabilities belong to "
        "other tokens; train both runs on the same data.prepared, or name one data.tokenizer in both.",
    )
    require(
        length >= row_length,
        f"{where} reads the network of {run}, which was trained on rows of {length} tokens, on rows of {row_length}; "
        "make that run --model and this one the other, or train both on rows of one length.",
    )
    trained.check(where, dataclasses.replace(reading, network=""), other.objectives)
