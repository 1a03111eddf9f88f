"""The device mesh: rows divide over replica × data × fsdp, parameters over fsdp × sequence, heads over tensor.

Axes are of type Auto: XLA places the collectives, and constraints on activations are hints, never errors. The slowest
axis stands first, so that neighbours in the mesh are neighbours in the machine.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AbstractMesh, AxisType, Mesh

from hybridlm.config import rows
from hybridlm.config.errors import ConfigError, require
from hybridlm.config.experiment import Experiment
from hybridlm.config.mesh import MeshConfig

AXES = ("replica", "data", "fsdp", "tensor", "sequence")
BATCH = ("replica", "data", "fsdp")
"""What the rows of a batch are divided over."""
PARAMETERS = ("fsdp", "sequence")
"""What parameters are divided over beside tensor: the devices that share a row need not hold them twice."""
LISTED = 6
"""How many valid meshes a refusal names."""


def make(config: MeshConfig, devices: Sequence[Any] | None = None) -> Mesh:
    """The mesh over all devices, or those given; raises ConfigError where the sizes do not multiply to their number.

    Devices of several slices are laid out so that only `replica` crosses from one to another.
    """
    devices = jax.devices() if devices is None else devices
    sizes = resolved(config, len(devices))
    slices = len({getattr(device, "slice_index", 0) for device in devices})
    require(
        sizes[0] % slices == 0,
        f"mesh.replica={sizes[0]} is no multiple of the {slices} slices of this run, so that another axis would cross "
        f"the network between them at every layer; set mesh.replica={slices}.",
    )
    types = (AxisType.Auto,) * len(AXES)
    if slices == 1:
        return jax.make_mesh(sizes, AXES, axis_types=types, devices=devices)
    return Mesh(over_slices(sizes, slices, devices), AXES, axis_types=types)


def over_slices(sizes: Sequence[int], slices: int, devices: Sequence[Any]) -> np.ndarray:
    """The devices in the shape of the mesh, each slice with replicas of its own."""
    within, across = (sizes[0] // slices, *sizes[1:]), (slices, *(1 for _ in sizes[1:]))
    return mesh_utils.create_hybrid_device_mesh(within, across, devices)


def resolved(config: MeshConfig, devices: int) -> tuple[int, ...]:
    """The sizes with -1 replaced by what is left of the devices."""
    known = math.prod(size for size in config.sizes.values() if size != -1)
    sizes = tuple(devices // known if size == -1 else size for size in config.sizes.values())
    near = _nearest(shapes(devices), tuple(config.sizes.values()))
    more = (
        f" JAX_NUM_CPU_DEVICES={known} makes {known} of a CPU, and `bash run_tpu.sh local {known} ...` joins processes."
    )
    require(
        math.prod(sizes) == devices,
        f"mesh sizes {config} do not multiply to the {devices} devices of this run; valid ({', '.join(AXES)}) near it "
        f"are {near}." + (more if devices == 1 else ""),
    )
    return sizes


def ways(mesh: Mesh | AbstractMesh, axes: Sequence[str]) -> int:
    """How many parts these axes divide something into."""
    return math.prod(mesh.shape[axis] for axis in axes)


def check(mesh: Mesh | AbstractMesh, experiment: Experiment) -> None:
    """Raises ConfigError where the model, or a pass of the experiment, does not divide.

    The text names the rule, and the meshes of as many devices for which nothing is amiss.
    """
    sizes = tuple(mesh.shape.values())
    wrong = refusal(sizes, experiment)
    if wrong:
        valid = [shape for shape in shapes(mesh.size) if fits(shape, experiment)]
        fit = f"valid ({', '.join(AXES)}) on {mesh.size} devices are {_nearest(valid, sizes)}"
        raise ConfigError(f"{wrong}; {fit if valid else f'no mesh of {mesh.size} devices would do'}.")


def refusal(sizes: Sequence[int], experiment: Experiment) -> str:
    """What does not divide over a mesh of these sizes, and what to change; empty where everything does."""
    training, length = experiment.training, experiment.data.row_length
    return _of_model(sizes, experiment) or rows.refusal(
        experiment.objectives, training.batch_rows, length, training.accumulate, math.prod(sizes[: len(BATCH)])
    )


def fits(sizes: Sequence[int], experiment: Experiment) -> bool:
    """Does everything divide? Faster than to say what would."""
    training = experiment.training
    parts = training.accumulate * math.prod(sizes[: len(BATCH)])
    return not _of_model(sizes, experiment) and rows.divides(experiment.objectives, training.batch_rows, parts)


def _of_model(sizes: Sequence[int], experiment: Experiment) -> str:
    """What of the model, or of the length of its rows, does not divide."""
    *_, fsdp, tensor, sequence = sizes
    model, length, parts = experiment.model, experiment.data.row_length, fsdp * sequence
    if model.kv_heads % tensor or model.ffn % tensor:
        return (
            f"mesh.tensor={tensor} must divide model.kv_heads={model.kv_heads} and model.ffn={model.ffn}, since each "
            "device computes whole key/value heads with their queries"
        )
    if model.width % parts:
        return (
            f"mesh.fsdp x mesh.sequence = {parts} must divide model.width={model.width}, along which parameters are cut"
        )
    if length % sequence:
        return f"mesh.sequence={sequence} must divide data.row_length={length}, since rows are cut into equal parts"
    return ""


def shapes(devices: int, axes: int = len(AXES)) -> Iterator[tuple[int, ...]]:
    """All sizes of so many axes that multiply to a number of devices."""
    if axes == 1:
        yield (devices,)
        return
    for first in (n for n in range(1, devices + 1) if devices % n == 0):
        yield from ((first, *rest) for rest in shapes(devices // first, axes - 1))


def _nearest(valid, sizes):
    """The few that keep most of the sizes asked for, and else change them least."""

    def changes(shape):
        asked = [(new, old) for new, old in zip(shape, sizes) if old != -1]
        factor = math.prod(max(new, old) / min(new, old) for new, old in asked)
        return sum(new != old for new, old in asked), factor, shape

    return sorted(valid, key=changes)[:LISTED]
