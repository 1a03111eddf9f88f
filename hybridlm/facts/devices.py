"""What a kernel must know of the devices: may it run there, and has each of them rows of its own.

A kernel for GPUs knows no mesh and XLA cannot cut it, so on several devices it runs inside `shard_map`. The mesh is
that of `constrain`, the function that says where arrays lie; if that has none, there is one device.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AbstractMesh, Mesh
from jax.sharding import PartitionSpec as P

CAPABILITIES = {"9.0"}
"""Of the GPUs that kernels are written for: Hopper's."""


def obstacle(constrain: Callable) -> str | None:
    """Why kernels for Hopper GPUs cannot take the rows of each device, or None if they can."""
    mesh, planned = _mesh(constrain), not jax.sharding.get_abstract_mesh().empty
    if planned or isinstance(mesh, AbstractMesh):
        return "planned for another machine"
    devices = jax.devices() if mesh is None else mesh.devices.flat
    obstacles = {
        "not a Hopper GPU": not {getattr(device, "compute_capability", None) for device in devices} <= CAPABILITIES,
        f"{len(devices)} devices": mesh is None and len(devices) > 1,
        "a mesh that divides more than rows": mesh is not None and constrain.parts("batch") != mesh.size,
    }
    return next((reason for reason, holds in obstacles.items() if holds), None)


def count(constrain: Callable) -> int:
    """Over how many devices the rows are divided, where there is no obstacle."""
    mesh = _mesh(constrain)
    return 1 if mesh is None else mesh.size


def on_each(constrain: Callable, function: Callable[..., Any]) -> Callable[..., Any]:
    """function(whole, *rows) run by each device on its own rows; what it returns, stacked along the first axis."""
    mesh = _mesh(constrain)
    if count(constrain) == 1:
        return function
    rows = P(mesh.axis_names)

    def on_mesh(whole, *columns):
        each = jax.shard_map(
            function, mesh=mesh, in_specs=(P(), *(rows for _ in columns)), out_specs=rows, check_vma=False
        )
        return each(whole, *columns)

    return on_mesh


def _mesh(constrain: Callable) -> Mesh | AbstractMesh | None:
    return getattr(constrain, "mesh", None)
