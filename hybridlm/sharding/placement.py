"""Where the batches of a run lie on the mesh, and what every device has a copy of."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AbstractMesh, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from hybridlm.sharding.attention import planner
from hybridlm.sharding.rules import batch_sharding, constrain, parts

Rows = dict[str, np.ndarray]


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


def placer(mesh: Mesh, count: int | None = None) -> Callable[[Rows], dict[str, jax.Array]]:
    """Puts a batch on the mesh: of its `count` rows those that are this process's own, or with None all of them."""
    own = own_rows(mesh, count) if count else None

    def place(batch):
        held = own or range(len(next(iter(batch.values()))))
        return {name: _put(column, held, mesh, count or len(held)) for name, column in batch.items()}

    return place


def _put(column: np.ndarray, held: Sequence[int], mesh: Mesh, count: int) -> jax.Array:
    """A column of a batch of `count` rows, of which this process has those that it holds."""

    def part(index):
        rows = range(count)[index[0]]
        first = held.index(rows.start)
        return column[first : first + len(rows)]

    return jax.make_array_from_callback((count, *column.shape[1:]), of_rows(mesh, count), part)


def own_rows(mesh: Mesh, count: int, devices: Collection[jax.Device] | None = None) -> list[int]:
    """Which rows of so many lie on these devices, those of this process.

    They need not follow each other, since neighbours in the mesh are chips that are wired together, whatever host
    they belong to; and two processes share rows where `mesh.tensor` or `mesh.sequence` goes across both.
    """
    places = of_rows(mesh, count).devices_indices_map((count,))
    return sorted({row for d in devices or mesh.local_devices for row in range(count)[places[d][0]]})


def of_rows(mesh: Mesh, count: int) -> NamedSharding:
    """So many rows divided over the devices, or on every one of them where they do not divide."""
    return batch_sharding(mesh) if count % shards(mesh) == 0 else replicated(mesh)


def abstract(state: Any, where: Any) -> Any:
    """Shapes with shardings, as a restore target."""
    return jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), state, where)
