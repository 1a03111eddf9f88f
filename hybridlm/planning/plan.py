"""From a config and a machine's name to all that is known of a step there."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from hybridlm.config.experiment import Experiment
from hybridlm.planning import program as programs
from hybridlm.planning import workload as workloads
from hybridlm.planning.chips import Topology
from hybridlm.planning.estimate import MARGIN, Bytes, Estimate, estimate, fit, work_of
from hybridlm.planning.program import NoProgram, Program
from hybridlm.planning.roofline import Roofline, roofline
from hybridlm.planning.workload import Workload


@dataclasses.dataclass(frozen=True)
class Plan:
    """A step on a machine: by rule, by the compiler, and its times where a data sheet gives speeds."""

    topology: Topology
    workload: Workload
    estimate: Estimate
    program: Program | NoProgram
    times: Roofline | None

    @property
    def needed(self) -> Bytes:
        """Bytes of a device's memory: by the compiler where it answered, else by rule."""
        if isinstance(self.program, Program):
            return self.program.arguments + self.program.temporary
        return sum(self.estimate.memory.values())

    @property
    def margin(self) -> float:
        """The memory as compiled in units of that by rule, or what it may be at most as far as is known."""
        return self.needed / sum(self.estimate.memory.values()) if isinstance(self.program, Program) else MARGIN

    @property
    def fit(self) -> str:
        """Whether a device has room for it: "fits", "may not fit" or "does not fit"."""
        if isinstance(self.program, NoProgram):
            return "does not fit" if self.program.is_too_large else fit(self.needed, self.topology.chip.memory)
        return "fits" if self.needed <= self.topology.chip.memory else "does not fit"


def make(experiment: Experiment, topology: Topology) -> Plan:
    """Compiles the step where a compiler is at hand, and lowers it where none is."""
    devices = programs.devices_of(topology)
    if not isinstance(devices, NoProgram):
        return of_devices(experiment, topology, devices)
    workload = workloads.make(experiment, workloads.task_of(experiment), topology)
    return _plan(topology, workload, _lowered(workload, topology, devices))


def _lowered(workload: Workload, topology: Topology, uncompiled: NoProgram) -> NoProgram:
    """Why nothing is compiled, after the step was lowered, or after JAX would not even do that."""
    try:
        programs.lower(workload, topology)
    except RuntimeError as error:
        if "cuDNN" not in str(error):
            raise
        return NoProgram(
            "JAX lowers attention through cuDNN only where cuDNN is installed (pip install 'hybridlm[cuda]'): "
            "neither lowered nor compiled"
        )
    return uncompiled


def of_devices(experiment: Experiment, topology: Topology, devices: Sequence[Any]) -> Plan:
    """The plan for devices that are there, or that a compiler takes for such."""
    workload = workloads.make(experiment, workloads.task_of(experiment), topology, devices)
    return _plan(topology, workload, programs.compiled(workload, topology))


def _plan(topology: Topology, workload: Workload, program: Program | NoProgram) -> Plan:
    found = estimate(workload, work_of(workload, topology.chip))
    received = program.received if isinstance(program, Program) else None
    times = roofline(workload, topology.chip, found, received) if topology.chip.flops else None
    return Plan(topology, workload, found, program, times)
