"""Where the state and the batches of a run lie on the mesh."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from hybridlm.sharding.mesh import BATCH
from hybridlm.sharding.rules import batch_sharding, shardings
from hybridlm.training.state import TrainState


def of_state(state: TrainState, mesh: Mesh) -> TrainState:
    """Parameters and optimizer state by the rules; counters and sums on every device."""
    replicated = jax.tree.map(lambda _: NamedSharding(mesh, P()), state)
    return dataclasses.replace(
        replicated, params=shardings(state.params, mesh), opt_state=shardings(state.opt_state, mesh)
    )


def everywhere(tree: Any, mesh: Mesh) -> Any:
    """Puts a copy of host arrays on every device."""
    return jax.device_put(tree, NamedSharding(mesh, P()))


def shards(mesh: Mesh) -> int:
    """How many ways the rows of a batch are divided."""
    return math.prod(mesh.shape[axis] for axis in BATCH)


def placer(mesh: Mesh) -> Callable[[dict[str, np.ndarray]], dict[str, jax.Array]]:
    """Puts this process's rows of a batch on the mesh; a number of rows that does not divide goes to every device."""

    def place(batch):
        rows = len(next(iter(batch.values()))) * jax.process_count()
        where = batch_sharding(mesh) if rows % shards(mesh) == 0 else NamedSharding(mesh, P())
        return {name: jax.make_array_from_process_local_data(where, column) for name, column in batch.items()}

    return place


def abstract(state: Any, where: Any) -> Any:
    """Shapes with shardings, as a restore target."""
    return jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), state, where)
