"""The step compiled for a machine that is not there, and what the compiler says of it."""

import dataclasses
import importlib.util
from typing import Any

import jax

from hybridlm.config.errors import ConfigError, require
from hybridlm.planning.chips import Topology
from hybridlm.planning.collectives import Collective, collectives
from hybridlm.planning.workload import Workload

_OPTIONS = {"gpu": {"xla_gpu_autotune_level": 0}}
"""Kernels are chosen by rule where none can be timed."""
_CUDA = ("jax_cuda13_plugin", "jax_cuda12_plugin")
"""JAX for CUDA, of the extras `cuda` and `cuda12`: either compiles."""
_HOPPER = """
gpu_device_info {
  name: "NVIDIA H100 80GB HBM3" cuda_compute_capability { major: 9 feature_extension: ACCELERATED_FEATURES }
  core_count: 132 clock_rate_ghz: 1.98 fpus_per_core: 128 device_memory_size: 84942979072 l2_cache_size: 52428800
  memory_bandwidth: 3352320000000 registers_per_core_limit: 65536 registers_per_block_limit: 65536
  threads_per_warp: 32 threads_per_core_limit: 2048 threads_per_block_limit: 1024
  thread_dim_limit_x: 1024 thread_dim_limit_y: 1024 thread_dim_limit_z: 64
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  shared_memory_per_core: 233472 shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448
  driver_version: "13.0.0" runtime_version: "13.0.0" compile_time_toolkit_version: "13.0.0" dnn_version: "9.10.0"
  device_interconnect_info { active_links: 18 }
}
platform_name: "CUDA" device_description_str: "NVIDIA H100 80GB HBM3" dnn_version_info { major: 9 minor: 10 }
"""
"""What XLA asks of a GPU (its message GpuTargetConfigProto as text)."""


@dataclasses.dataclass(frozen=True)
class Program:
    """Per device: `arguments` that stay (the state and the batch), `temporary` bytes beside them, and the traffic."""

    arguments: int
    temporary: int
    collectives: tuple[Collective, ...]

    @property
    def received(self) -> int:
        """Bytes that come in over the wires in a step."""
        return sum(found.count * found.received for found in self.collectives)


@dataclasses.dataclass(frozen=True)
class NoProgram:
    """Why nothing was compiled; `is_too_large` if because the compiler found no room."""

    reason: str
    is_too_large: bool = False


def devices_of(topology: Topology) -> Any:
    """The devices to compile for, or `NoProgram` where no compiler is at hand."""
    match topology.chip.platform:
        case "cpu":
            found = jax.devices("cpu")[: topology.count]
            require(len(found) == topology.count, f"--topology={topology}: this process has {len(found)} devices.")
            return found
        case "gpu":
            return _gpus(topology)
    try:
        import libtpu  # noqa: F401
    except ImportError:
        return NoProgram(
            "libtpu is not installed (pip install 'hybridlm[tpu]', or HYBRIDLM_EXTRA=tpu bash run_tpu.sh hybridlm plan "
            "...): lowered for TPUs, not compiled"
        )
    from jax.experimental import topologies

    try:
        return topologies.get_topology_desc(str(topology), platform="tpu").devices
    except jax.errors.JaxRuntimeError as error:
        raise ConfigError(f"--topology={topology} is refused by libtpu: {error}") from error


def _gpus(topology: Topology) -> Any:
    """GPUs as XLA's compiler for CUDA is told of them, which needs none at hand."""
    if not any(map(importlib.util.find_spec, _CUDA)):
        return NoProgram("JAX for CUDA is not installed (pip install 'hybridlm[cuda]'): lowered for CUDA, not compiled")
    from jax.experimental import topologies

    count, least = topology.count, -(-topology.count // topology.chip.neighbours)
    hosts = next(n for n in range(least, count + 1) if count % n == 0)
    shape = f"1x{hosts}x{count // hosts}"
    return topologies.get_topology_desc(platform="cuda", target_config=_HOPPER, topology=shape).devices


def lower(workload: Workload, topology: Topology) -> Any:
    """The step lowered for the machine's platform: kernels and all, up to where a compiler takes over."""
    platform = {"gpu": "cuda"}.get(topology.chip.platform, topology.chip.platform)
    return workload.trace().lower(lowering_platforms=(platform,))


def compiled(workload: Workload, topology: Topology) -> Program | NoProgram:
    """What the compiler makes of the step, or its words where memory does not suffice."""
    try:
        program = lower(workload, topology).compile(_OPTIONS.get(topology.chip.platform))
    except jax.errors.JaxRuntimeError as error:
        if "Ran out of memory" not in str(error):
            raise
        return NoProgram(str(error).splitlines()[0], is_too_large=True)
    memory = program.memory_analysis()
    found = tuple(collectives(program.as_text()))
    return Program(memory.argument_size_in_bytes, memory.temp_size_in_bytes, found)
