"""Where the state and the batches of a run lie on the mesh."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AbstractMesh, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from hybridlm.sharding.attention import planner
from hybridlm.sharding.rules import batch_sharding, constrain, parts, shardings
from hybridlm.training.state import TrainState

Rows = dict[str, np.ndarray]


def of_state(state: TrainState, mesh: Mesh | AbstractMesh) -> TrainState:
    """Parameters and optimizer state by the rules; counters and sums on every device."""
    everywhere = jax.tree.map(lambda _: replicated(mesh), state)
    return dataclasses.replace(
        everywhere, params=shardings(state.params, mesh), opt_state=shardings(state.opt_state, mesh)
    )


def replicated(mesh: Mesh | AbstractMesh) -> NamedSharding:
    """All of an array on every device, so that every process can read it."""
    return NamedSharding(mesh, P())


def everywhere(tree: Any, mesh: Mesh) -> Any:
    """Puts a copy of host arrays on every device."""
    return jax.device_put(tree, replicated(mesh))


def shards(mesh: Mesh | AbstractMesh) -> int:
    """How many ways the rows of a batch are divided."""
    return parts(mesh, "batch")


def spread_over(mesh: Mesh | AbstractMesh) -> dict[str, Any]:
    """What `step.make` is told of a mesh."""
    return {"shards": shards(mesh), "constrain": constrain(mesh), "plan": planner(mesh)}


def placer(mesh: Mesh) -> Callable[[Rows], dict[str, jax.Array]]:
    """Puts this process's rows of a batch on the mesh; a number of rows that does not divide goes to every device."""

    def place(batch):
        where = _rows(mesh, len(next(iter(batch.values()))) * jax.process_count())
        return {name: jax.make_array_from_process_local_data(where, column) for name, column in batch.items()}

    return place


def spreader(mesh: Mesh) -> Callable[[Rows], dict[str, jax.Array]]:
    """Puts rows on the mesh that every process holds in full."""

    def spread(batch):
        where = _rows(mesh, len(next(iter(batch.values()))))
        return {
            name: jax.make_array_from_callback(column.shape, where, column.__getitem__)
            for name, column in batch.items()
        }

    return spread


def _rows(mesh: Mesh, count: int) -> NamedSharding:
    return batch_sharding(mesh) if count % shards(mesh) == 0 else replicated(mesh)


def abstract(state: Any, where: Any) -> Any:
    """Shapes with shardings, as a restore target."""
    return jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), state, where)
