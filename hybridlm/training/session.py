"""A run ready to take steps: data, mesh, compiled step, and the state it starts or resumes from."""

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import optax
from etils import epath
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from hybridlm.categories import registry
from hybridlm.config import errors
from hybridlm.config.errors import ConfigError, require
from hybridlm.config.experiment import Experiment
from hybridlm.config.objective import part_names
from hybridlm.config.storage import from_dict, to_dict
from hybridlm.data import balance, mixing
from hybridlm.data.prepare import prepare
from hybridlm.data.prepared import Prepared
from hybridlm.data.rows import Rows
from hybridlm.data.stream import EVERYTHING, TrainStream
from hybridlm.data.vocabulary import Vocabulary
from hybridlm.evaluation import kernels, mask_facts
from hybridlm.evaluation import task as tasks
from hybridlm.evaluation.columns import UNIGRAM
from hybridlm.evaluation.readings import Scorer, scorer
from hybridlm.evaluation.run import PLACES
from hybridlm.evaluation.task import Task, task_of
from hybridlm.evaluation.windows import rows_to_read
from hybridlm.objectives import single
from hybridlm.reports.progress import remark
from hybridlm.sharding import distributed, placement
from hybridlm.sharding import mesh as meshes
from hybridlm.storage import workdir
from hybridlm.storage.checkpoints import Checkpoints
from hybridlm.storage.compatibility import check_fingerprints, check_masks, check_mixing
from hybridlm.training import filtered, inheritance, optimizers
from hybridlm.training import state as states
from hybridlm.training import step as steps
from hybridlm.training.state import TrainState, placed


@dataclasses.dataclass(frozen=True)
class Session:
    """Attributes:
    task: with the labels of training rows. reader: the same with those of held-out rows.
    mesh, where (shardings of the state), take_step (state, batch, tables) -> state.
    score: how held-out rows are read. place puts a process's own rows on the mesh, spread those all hold.
    stream: training batches. text: rows of the evaluation split. held_out: the same, as they are read.
    vocabulary. checkpoints, and metadata: what every checkpoint says of itself.
    """

    experiment: Experiment
    directory: epath.Path
    task: Task
    reader: Task
    mesh: Mesh
    where: TrainState
    take_step: Callable
    score: Scorer
    place: Callable
    spread: Callable
    stream: TrainStream
    text: Rows
    held_out: Rows
    vocabulary: Vocabulary
    checkpoints: Checkpoints
    metadata: dict[str, Any]

    def memory(self, step: int) -> dict[str, Any]:
        """What the checkpoint of a step remembers of the process that wrote it; nothing at the start."""
        return self.checkpoints.read_metadata(step).get("memory", {}) if step else {}


def open_session(experiment: Experiment, directory: epath.Path, *, read_only: bool = False) -> Session:
    """Prepares data where needed and builds everything that does not change from step to step.

    With `read_only` nothing is written among the checkpoints, whose run may still be going on.
    """
    mesh = meshes.make(experiment.mesh)
    _check_config(experiment, mesh)
    prepared = _prepared(experiment, directory)
    text = prepared.rows(experiment.evaluation.split)
    held_out = rows_to_read(text, experiment.evaluation)
    task = task_of(experiment, prepared.vocabulary, prepared.rows("train").names)
    reader = task_of(experiment, prepared.vocabulary, held_out.names)
    where = placed(jax.eval_shape(_starter(experiment, task)), mesh)
    return Session(
        experiment=experiment,
        directory=directory,
        task=task,
        reader=reader,
        mesh=mesh,
        where=where,
        take_step=_step(experiment, task, mesh, where),
        score=scorer(reader, experiment.evaluation, experiment.mask, mesh),
        place=placement.placer(mesh, experiment.training.batch_rows),
        spread=placement.placer(mesh),
        stream=_stream(experiment, prepared, mesh),
        text=text,
        held_out=held_out,
        vocabulary=prepared.vocabulary,
        checkpoints=Checkpoints(directory / workdir.CHECKPOINTS, experiment.checkpoint.keep, read_only=read_only),
        metadata=_metadata(experiment, prepared),
    )


def _check_config(experiment: Experiment, mesh: Mesh) -> None:
    """Refuses what a config and the devices alone show to be wrong, before any text is read."""
    meshes.check(mesh, experiment)
    kernels.check(experiment.model)
    for name, objective in experiment.objectives.items():
        with errors.placed(f"objectives.{name}"):
            single.check(objective)
    for name, reading in experiment.evaluation.readings.items():
        with errors.placed(f"evaluation.readings.{name}.objective"):
            single.check(reading.objective, is_scored=True)
    _optimizer(experiment)
    filtered.check(experiment)
    registry.check(experiment)
    mask_facts.check(experiment)
    inheritance.check(experiment)


def _step(experiment: Experiment, task: Task, mesh: Mesh, where: TrainState) -> Callable:
    """(state, batch, tables) -> state, jitted; the state that is given is used up."""
    take_step = steps.make(experiment, task, _optimizer(experiment), **placement.spread_over(mesh))
    return jax.jit(take_step, donate_argnums=0, out_shardings=where)


def check(session: Session) -> None:
    """Traces a step and every reading, so that a mask or kernel that cannot be is refused before any work.

    All is said to lie where it will, so that the first step is not traced again.
    """
    experiment, train, held_out = session.experiment, session.stream.rows, session.held_out
    names = set(session.experiment.evaluation.readings) & {
        *PLACES,
        UNIGRAM,
        *(f.name for f in session.reader.tables.families),
    }
    require(
        not names,
        f"evaluation.readings has {', '.join(sorted(names))}, which name other columns of the report; rename them.",
    )

    def rows(names: Sequence[str], count: int) -> dict[str, jax.ShapeDtypeStruct]:
        where = placement.of_rows(session.mesh, count)
        return {name: jax.ShapeDtypeStruct((count, held_out.row_length), np.int32, sharding=where) for name in names}

    state = placement.abstract(jax.eval_shape(_starter(experiment, session.task)), session.where)
    tables = placement.everywhere(session.task.tables, session.mesh)
    try:
        jax.eval_shape(session.take_step, state, rows(train.names, experiment.training.batch_rows), tables)
        jax.eval_shape(session.score, state.params, rows(held_out.names, experiment.evaluation.batch_rows), 0)
    except ValueError as error:
        raise ConfigError(f"this config cannot be run: {error}") from error


def _stream(experiment: Experiment, prepared: Prepared, mesh: Mesh) -> TrainStream:
    """The training batches; raises ConfigError if a source would run dry: be read more often than it may be."""
    steps, sources = experiment.training.steps, prepared.manifest.sources
    rows, mixed = prepared.rows("train"), mixing.in_rows(experiment.data, sources)
    stream = TrainStream(
        rows,
        seed=experiment.seed,
        batch_rows=experiment.training.batch_rows,
        mixing=mixed,
        rarity_N=balance.rarity(rows, prepared.counts_V) if any(mix.rare_power for mix in mixed) else None,
        own_rows=placement.own_rows(mesh, experiment.training.batch_rows),
    )
    read = stream.epochs(steps)
    for source, then in zip(experiment.data.named_sources, sources, strict=True):
        epochs = read.get(EVERYTHING, read.get(then.called, 0.0))
        require(
            source.max_epochs == 0 or epochs <= source.max_epochs,
            f"training.steps={steps} would read the source {source.called!r} {epochs:.2f} times, and its max_epochs is "
            f"{source.max_epochs:g}. Train for fewer steps, give it a smaller share in data.mixing, more text, or a "
            "higher max_epochs.",
        )
    return stream


def _prepared(experiment: Experiment, directory: epath.Path) -> Prepared:
    """The rows of the run: the first process makes them where needed, and the others wait for it."""
    where, prepared = experiment.data.prepared or directory / workdir.DATA, None
    if distributed.is_primary():
        prepared = prepare(experiment.data, where)
    multihost_utils.sync_global_devices("prepared")
    return prepared or prepare(experiment.data, where)


def _starter(experiment: Experiment, task: Task) -> Callable[[], TrainState]:
    """Makes the state before the first step."""

    def start() -> TrainState:
        params = tasks.init(task, jax.random.fold_in(jax.random.key(experiment.seed), 2**31 - 1))
        parts, labels = len(part_names(experiment.objectives)), steps.label_count(experiment, task)
        return states.start(params, _optimizer(experiment), parts, labels)

    return start


def _optimizer(experiment: Experiment) -> optax.GradientTransformation:
    return optimizers.make(experiment.optimizer, experiment.training.steps)


def first_state(session: Session, before: int = sys.maxsize) -> TrainState:
    """The state of the newest valid checkpoint, or a fresh one, which may start with the parameters of another run.

    Only checkpoints of steps below `before` count.
    """
    experiment = session.experiment
    new_state = _starter(experiment, session.task)
    step = session.checkpoints.latest_valid(before)
    if step is None:
        fresh = jax.jit(new_state, out_shardings=session.where)()
        return inheritance.inherit(experiment, fresh, session.vocabulary.tokenizer.sha256)
    stored, known = session.checkpoints.read_metadata(step), session.metadata["fingerprints"]
    check_fingerprints(stored["fingerprints"], {name: known[name] for name in known if name != "mask"}, step=step)
    # the config as it is read now, where what could not be set then has its default
    check_masks(from_dict(Experiment, stored["config"]), experiment, step=step)
    check_mixing(stored["config"]["data"], session.metadata["config"]["data"], step=step)
    target = placement.abstract(jax.eval_shape(new_state), session.where)
    if step < experiment.training.steps:
        remark(f"resuming at step {step} of {experiment.training.steps}, from its checkpoint")
    return states.from_dict(session.checkpoints.restore(step, states.to_dict(target)))


def _metadata(experiment: Experiment, prepared) -> dict[str, Any]:
    return {
        "config": to_dict(experiment),
        "fingerprints": {
            "tokenizer": prepared.vocabulary.tokenizer.sha256,
            "data": prepared.manifest.fingerprint,
            "mask": _masks(experiment),
            "dtype": experiment.model.dtype,
        },
    }


def _masks(experiment: Experiment) -> str:
    """All that decides who may attend to whom, and what is predicted from it."""
    return json.dumps({name: to_dict(experiment)[name] for name in ("objectives", "mask")}, sort_keys=True)
