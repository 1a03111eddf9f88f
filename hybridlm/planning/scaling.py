"""Tokens a second against the number of chips, each with as many rows as in the plan, by rule."""

import dataclasses
import math
from collections.abc import Iterator, Sequence

from hybridlm.config.errors import require
from hybridlm.config.experiment import Experiment
from hybridlm.config.mesh import MeshConfig
from hybridlm.planning import workload as workloads
from hybridlm.planning.chips import Topology
from hybridlm.planning.estimate import MARGIN, estimate, fit, work_of
from hybridlm.planning.roofline import roofline

COUNTS = tuple(2**n for n in range(3, 14))


def table(experiment: Experiment, topology: Topology, counts: Sequence[int] = COUNTS) -> str:
    """One line per number of chips: groups of neighbours divide the parameters, and hold a copy each."""
    require(
        topology.chip.flops > 0,
        f"--scaling tells speeds, and no data sheet says what --topology={topology} can do; name TPUs or GPUs.",
    )
    rows = experiment.training.batch_rows / topology.count
    lines = [
        f"{rows:g} rows of {experiment.data.row_length} tokens a chip, as on {topology}",
        "  chips        mesh            GiB a chip       tokens/s    a chip   limited by",
    ]
    lines += _lines(experiment, topology, counts)
    if any(line.endswith("may not fit") for line in lines):
        lines.append(
            f"may not fit: by rule it does, and compilers have needed up to {MARGIN} times as much; compile it, "
            "without --scaling, to be sure"
        )
    return "\n".join(lines)


def _lines(experiment: Experiment, topology: Topology, counts: Sequence[int]) -> Iterator[str]:
    task, chip = workloads.task_of(experiment), topology.chip
    rows = experiment.training.batch_rows / topology.count
    one = workloads.make(experiment, task, topology)
    alone = work_of(one, chip)
    for count in counts:
        fsdp = math.gcd(min(count, chip.neighbours), experiment.model.width)
        training = dataclasses.replace(experiment.training, batch_rows=round(rows * count))
        mesh = MeshConfig(replica=count // fsdp, data=1, fsdp=fsdp)
        larger = dataclasses.replace(experiment, training=training, mesh=mesh)
        workload = workloads.make(larger, task, dataclasses.replace(topology, shape=(count,)))
        found = estimate(workload, alone.of(count / topology.count))
        times, memory = roofline(workload, chip, found), sum(found.memory.values())
        speed, room = workload.tokens / times.expected, fit(memory, chip.memory)
        yield (
            f"{count:7,}  {f'replica={count // fsdp}, fsdp={fsdp}':<24}{memory / 2**30:8.2f}{speed:16,.0f}"
            f"{speed / count:10,.0f}   {times.limit}{'' if room == 'fits' else f'  {room}'}"
        )
