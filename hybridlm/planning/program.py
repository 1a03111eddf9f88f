"""The step compiled for a machine that is not there, and what the compiler says of it."""

import dataclasses
from typing import Any

import jax

from hybridlm.config.errors import ConfigError, require
from hybridlm.planning.chips import Topology
from hybridlm.planning.collectives import Collective, collectives
from hybridlm.planning.workload import Workload


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
            return NoProgram("no compiler for GPUs works without one: lowered for CUDA, not compiled")
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


def lower(workload: Workload, topology: Topology) -> Any:
    """The step lowered for the machine's platform: kernels and all, up to where a compiler takes over."""
    platform = {"gpu": "cuda"}.get(topology.chip.platform, topology.chip.platform)
    return workload.trace().lower(lowering_platforms=(platform,))


def compiled(workload: Workload, topology: Topology) -> Program | NoProgram:
    """What the compiler makes of the step, or its words where memory does not suffice."""
    try:
        program = lower(workload, topology).compile()
    except jax.errors.JaxRuntimeError as error:
        if "Ran out of memory" not in str(error):
            raise
        return NoProgram(str(error).splitlines()[0], is_too_large=True)
    memory = program.memory_analysis()
    found = tuple(collectives(program.as_text()))
    return Program(memory.argument_size_in_bytes, memory.temp_size_in_bytes, found)
