"""A model ready to be read on any text: a checkpoint of a run, published weights, or a GGUF file."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from etils import epath
from jax.sharding import Mesh
from jaxtyping import PyTree

from hybridlm.config.errors import require
from hybridlm.config.experiment import Experiment
from hybridlm.config.storage import from_dict
from hybridlm.data.tokenizer import Tokenizer
from hybridlm.data.vocabulary import load_vocabulary
from hybridlm.evaluation import task as tasks
from hybridlm.evaluation.task import Task, task_of
from hybridlm.offline import published
from hybridlm.offline.subject import changed, only
from hybridlm.sharding import mesh as meshes
from hybridlm.sharding import placement
from hybridlm.sharding.rules import shardings
from hybridlm.storage import workdir
from hybridlm.storage.checkpoints import Checkpoints

OVERRIDABLE = ("evaluation.", "mesh.", "model.attention_backend", "data.prepared", "data.sources")
"""What may be changed about a trained model: how it is read, not what it is."""

Accept = Callable[[Experiment, Tokenizer], None]
"""Raises ConfigError where a model of this config and tokenizer will not do."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """One step of a run. Attributes: experiment: what it was trained as, with changes. metadata: what it says."""

    source: epath.Path
    checkpoints: Checkpoints
    step: int
    experiment: Experiment
    metadata: Mapping[str, Any]

    def load(self, shapes: PyTree) -> PyTree:
        """The parameters, where their shapes say."""
        return self.checkpoints.restore_params(self.step, shapes)


@dataclasses.dataclass(frozen=True)
class Saved:
    """A run of whose checkpoints nothing is read yet. Attributes: step: the one to read, -1 for the newest valid one.
    config: of the run. experiment: the same with changes."""

    source: epath.Path
    checkpoints: Checkpoints
    step: int
    config: Experiment
    experiment: Experiment

    def read(self) -> Checkpoint:
        """The checkpoint, all of its bytes checked."""
        step = self.checkpoints.latest_valid() if self.step == -1 else self.step
        metadata = self.checkpoints.read_metadata(step)
        _check_trained(self.source, self.config, from_dict(Experiment, metadata["config"]), step)
        return Checkpoint(self.source, self.checkpoints, step, self.experiment, metadata)


def saved(source: epath.Path, step: int, readings: Sequence[str], overrides: Mapping[str, str]) -> Saved:
    """A run as its config says it, with these readings and changes; refused where the named step is not saved."""
    config = workdir.read_config(source)  # refuses what is no run before anything else is looked for
    checkpoints = Checkpoints(source / workdir.CHECKPOINTS, read_only=True)
    known = checkpoints.steps()
    require(bool(known), f"{source} holds no checkpoint yet; let `hybridlm train` save one (config.checkpoint.every).")
    require(step == -1 or step in known, f"--step={step} is not among the checkpoints of {source}: {known}.")
    experiment = changed(only(config, readings), overrides, OVERRIDABLE)
    return Saved(source, checkpoints, step, config, experiment)


def _check_trained(source: epath.Path, config: Experiment, then: Experiment, step: int) -> None:
    """Refuses a run whose config says another network than its checkpoint was trained as."""
    for name in ("model", "objectives", "mask"):
        require(
            getattr(config, name) == getattr(then, name),
            f"{source / workdir.CONFIG} has another {name} than checkpoint {step} was trained with. `hybridlm train` "
            "writes both alike, so one was edited or comes from another run; bring back the one that was there.",
        )


@dataclasses.dataclass(frozen=True)
class Opened:
    """Attributes:
    task: with the labels that ids alone tell. params: on the devices of `mesh`. has_bos: whether the network knows the
    token that opens every text here.
    """

    experiment: Experiment
    tokenizer: Tokenizer
    task: Task
    params: Any
    mesh: Mesh
    has_bos: bool = True


def _anything(experiment: Experiment, tokenizer: Tokenizer) -> None:
    """Any model will do."""


def open_model(
    model: epath.PathLike, *, step: int = -1, overrides: Mapping[str, str], accept: Accept = _anything
) -> Opened:
    """Opens the directory of a run, a directory of safetensors, an id of the Hugging Face hub, or a GGUF file.

    `accept` may refuse it by its config and tokenizer, before any of its weights are read.
    """
    if published.is_published(model):
        require(step == -1, f"--step={step} has no meaning for a published model, which is one checkpoint.")
        found = published.find(model, (), overrides)
        accept(found.experiment, found.vocabulary.tokenizer)
        task = found.task(found.vocabulary)
        load = functools.partial(found.load, task)
        return _opened(found.experiment, found.vocabulary.tokenizer, task, load, found.has_bos)
    source = epath.Path(model)
    run = saved(source, step, (), overrides)
    vocabulary = load_vocabulary(source / workdir.VOCABULARY)
    accept(run.experiment, vocabulary.tokenizer)
    found = run.read()
    return _opened(found.experiment, vocabulary.tokenizer, task_of(found.experiment, vocabulary), found.load)


def _opened(
    experiment: Experiment, tokenizer: Tokenizer, task: Task, load: Callable[[PyTree], Any], has_bos: bool = True
) -> Opened:
    mesh = meshes.make(experiment.mesh)
    return Opened(experiment, tokenizer, task, on_mesh(task, mesh, load), mesh, has_bos)


def on_mesh(task: Task, mesh: Mesh, load: Callable[[PyTree], Any]) -> Any:
    """The parameters of a task, each leaf where the rules put it."""
    shapes = tasks.abstract_params(task)
    return load(placement.abstract(shapes, shardings(shapes, mesh)))
