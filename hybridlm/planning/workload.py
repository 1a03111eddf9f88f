"""A training step without its data or its machine: the function, shapes of what it takes, and where these lie."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh

from hybridlm.config.experiment import Experiment
from hybridlm.config.objective import part_names
from hybridlm.evaluation import task as tasks
from hybridlm.evaluation.task import Task
from hybridlm.planning.chips import Topology
from hybridlm.sharding import mesh as meshes
from hybridlm.sharding import placement
from hybridlm.sharding.rules import batch_sharding
from hybridlm.training import optimizers
from hybridlm.training import state as states
from hybridlm.training import step as steps
from hybridlm.training.state import TrainState, placed

SPECIAL = {"pad": 0, "bos": 1, "eos": 2, "mask": 3}
COLUMNS = ("tokens", "segment_ids", "positions", "word_band")
"""What packed rows hold; families of labels that read further columns are left out of a plan."""


@dataclasses.dataclass(frozen=True)
class Workload:
    """Attributes:
    mesh: of devices, or of sizes alone. step, and what it takes: state and batch, as shapes with places.
    """

    experiment: Experiment
    task: Task
    mesh: Mesh | AbstractMesh
    step: Callable
    state: TrainState
    batch: dict[str, jax.ShapeDtypeStruct]

    @property
    def tokens(self) -> int:
        """Tokens of text a step reads."""
        return self.experiment.training.batch_rows * self.experiment.data.row_length

    def trace(self) -> Any:
        """The step traced, ready to be lowered."""
        # kernels for a TPU ask which one it is
        with jax.sharding.use_abstract_mesh(getattr(self.mesh, "abstract_mesh", self.mesh)):
            return self.step.trace(self.state, self.batch)


def task_of(experiment: Experiment) -> Task:
    """The task on a vocabulary of the right size whose words are made up."""
    size = experiment.model.vocab_size or experiment.data.vocab_size
    return tasks.make(experiment, [b" w%d" % n for n in range(size)], np.zeros(size, np.int64), SPECIAL)


def make(experiment: Experiment, task: Task, topology: Topology, devices: Any = None) -> Workload:
    """The step on a machine; without devices its mesh is sizes alone. Refused where something does not divide."""
    mesh = _mesh(experiment, topology, devices)
    meshes.check(mesh, experiment)
    optimizer = optimizers.make(experiment.optimizer, experiment.training.steps)
    state = jax.eval_shape(functools.partial(new_state, experiment, task, optimizer))
    where = placed(state, mesh)
    spread = placement.spread_over(mesh)
    spread["plan"] = functools.partial(spread["plan"], platform=topology.chip.platform)
    step = steps.make(experiment, task, optimizer, **spread)
    shape = experiment.training.batch_rows, experiment.data.row_length
    rows = jax.ShapeDtypeStruct(shape, np.int32, sharding=batch_sharding(mesh))
    return Workload(
        experiment,
        task,
        mesh,
        jax.jit(functools.partial(step, tables=task.tables), donate_argnums=0, out_shardings=where),
        placement.abstract(state, where),
        dict.fromkeys(COLUMNS, rows),
    )


def _mesh(experiment: Experiment, topology: Topology, devices: Any) -> Mesh | AbstractMesh:
    if devices is not None:
        return meshes.make(experiment.mesh, devices)
    sizes = meshes.resolved(experiment.mesh, topology.count)
    return AbstractMesh(sizes, meshes.AXES, axis_types=(AxisType.Auto,) * len(sizes))


def new_state(experiment: Experiment, task: Task, optimizer: Any) -> TrainState:
    """The state before the first step."""
    params = tasks.init(task, jax.random.key(0))
    return states.start(params, optimizer, len(part_names(experiment.objectives)), steps.label_count(experiment, task))
