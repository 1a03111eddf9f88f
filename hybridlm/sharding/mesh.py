"""The device mesh: batches divide over data × fsdp, parameters over fsdp, heads and inner widths over tensor.

Axes are of type Auto: XLA places the collectives, and constraints on activations are hints, never errors.
"""

import itertools
import math
from collections.abc import Sequence

import jax
from jax.sharding import AxisType, Mesh

from hybridlm.config.errors import require
from hybridlm.config.model import ModelConfig
from hybridlm.config.training import MeshConfig

AXES = ("data", "fsdp", "tensor")
BATCH = ("data", "fsdp")


def make(config: MeshConfig, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The mesh over all devices, or those given; raises ConfigError where the sizes do not multiply to their number."""
    devices = jax.devices() if devices is None else devices
    sizes = resolved(config, len(devices))
    return jax.make_mesh(sizes, AXES, axis_types=(AxisType.Auto,) * len(AXES), devices=devices)


def resolved(config: MeshConfig, devices: int) -> tuple[int, int, int]:
    """The sizes with -1 replaced by what is left of the devices."""
    known = math.prod(size for size in config.sizes if size != -1)
    sizes = tuple(devices // known if size == -1 else size for size in config.sizes)
    require(
        math.prod(sizes) == devices,
        f"mesh sizes data={config.data}, fsdp={config.fsdp}, tensor={config.tensor} do not multiply to the {devices} "
        f"devices of this run; valid (data, fsdp, tensor) near it are {_near(config.sizes, devices)}.",
    )
    return sizes


def check(mesh: Mesh, model: ModelConfig, rows: int) -> None:
    """Raises ConfigError where heads, widths or the rows of a microbatch do not divide over the mesh."""
    tensor, ways = mesh.shape["tensor"], math.prod(mesh.shape[axis] for axis in BATCH)
    valid = [n for n in _divisors(model.kv_heads) if model.ffn % n == 0]
    require(
        tensor in valid,
        f"mesh.tensor={tensor} must divide model.kv_heads={model.kv_heads} and model.ffn={model.ffn}, since each "
        f"device computes whole key/value heads with their queries; valid mesh.tensor are {valid}.",
    )
    fsdp = mesh.shape["fsdp"]
    require(
        model.width % fsdp == 0,
        f"mesh.fsdp={fsdp} must divide model.width={model.width}, along which parameters are cut; "
        f"valid mesh.fsdp up to {mesh.size} are {[n for n in _divisors(model.width) if n <= mesh.size]}.",
    )
    require(
        rows % ways == 0,
        f"a batch of {rows} rows does not divide over data × fsdp = {ways} devices; choose training.batch_rows / "
        f"training.accumulate as a multiple of {ways}, or raise mesh.tensor.",
    )


def _near(sizes, devices):
    """Up to six factorisations of the device count, those that keep most of the sizes asked for first."""
    valid = [shape for shape in itertools.product(_divisors(devices), repeat=3) if math.prod(shape) == devices]
    return sorted(valid, key=lambda shape: -sum(a == b for a, b in zip(shape, sizes)))[:6]


def _divisors(number):
    return [n for n in range(1, number + 1) if number % n == 0]
