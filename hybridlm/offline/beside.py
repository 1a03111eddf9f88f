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


def found(readings: Mapping[str, Reading], row_length: int, task: Task, tokenizer: Tokenizer) -> dict[str, Beside]:
    """Every other run that a reading names, by its directory; refused where it cannot be read on the same rows."""
    named = {name: reading for name, reading in readings.items() if reading.network}
    runs = {reading.network: _found(reading.network) for reading in named.values()}
    for name, reading in named.items():
        _check(f"reading {name!r}", reading, runs[reading.network], row_length, task, tokenizer)
    return runs


def _found(run: str) -> Beside:
    there = saved(epath.Path(run), -1, (), {})
    kernels.check(there.experiment.model)
    read = there.read()
    vocabulary = load_vocabulary(read.source / workdir.VOCABULARY)
    return Beside(read.experiment, task_of(read.experiment, vocabulary), read)


def _check(where: str, reading: Reading, other: Beside, row_length: int, task: Task, tokenizer: Tokenizer) -> None:
    run, length = reading.network, other.experiment.data.row_length
    theirs = load_vocabulary(other.found.source / workdir.VOCABULARY).tokenizer
    require(
        theirs.sha256 == tokenizer.sha256,
        f"{where} reads the network of {run}, which was trained with another tokenizer, so its probabilities belong to "
        "other tokens; train both runs on the same data.prepared, or name one data.tokenizer in both.",
    )
    check_vocabularies(("this model", run), [one.model.padded_vocab(one.vocab_size) for one in (task, other.task)])
    require(
        length >= row_length,
        f"{where} reads the network of {run}, which was trained on rows of {length} tokens, on rows of {row_length}; "
        "make that run --model and this one the other, or train both on rows of one length.",
    )
    trained.check(where, dataclasses.replace(reading, network=""), other.experiment.objectives)
