"""What to change in a config whose step does not fit, the largest part of its memory first."""

import dataclasses
from collections.abc import Iterator

from hybridlm.config.rows import divides
from hybridlm.config.storage import override
from hybridlm.planning.chips import GIB
from hybridlm.planning.estimate import Bytes, estimate
from hybridlm.planning.plan import Plan
from hybridlm.sharding.mesh import BATCH, ways

STATE = ("parameters", "optimizer", "gradients", "summed gradients")


def advice(plan: Plan) -> list[str]:
    """Changes that make the step smaller; each is listed once."""
    memory = plan.estimate.memory
    found = [change for part in sorted(memory, key=memory.get, reverse=True) for change in _of(part, plan)]
    state = sum(memory.get(part, 0) for part in STATE)
    alone = f": the state and its gradients alone take {state / GIB:.2f} GiB"
    return [*dict.fromkeys(found), "more chips" + (alone if state > plan.topology.chip.memory else "")]


def _of(part: str, plan: Plan) -> Iterator[str]:
    experiment, mesh = plan.workload.experiment, plan.workload.mesh.shape
    if part in STATE and mesh["replica"] * mesh["data"] > 1:
        yield "parameters over more devices: a larger mesh.fsdp in place of mesh.data or mesh.replica"
    if part == "kept activations":
        if experiment.model.remat != "full":
            yield "more is computed again: model.remat='full'"
        yield from _fewer_rows(plan)
    if part == "head":
        yield f"fewer logits at once: training.head_chunk={experiment.training.head_chunk // 2}"


def _fewer_rows(plan: Plan) -> Iterator[str]:
    """The fewest passes that fit, or the most where none do but they help."""
    now, room, tried = sum(plan.estimate.memory.values()), plan.topology.chip.memory, list(_more_passes(plan))
    fitting = [one for one in tried if plan.margin * one[1] <= room]
    found = "the fewest passes that fit" if fitting else "not enough alone"
    for passes, memory in fitting[:1] or tried[-1:]:
        if memory < now:
            takes = f"{memory / GIB:.2f} GiB by rule, up to {plan.margin * memory / GIB:.2f} compiled"
            yield f"fewer rows at once: training.accumulate={passes}, {found}: {takes}"
    if not tried:
        yield f"parts of rows on each of more chips: mesh.sequence={2 * plan.workload.mesh.shape['sequence']}"


def _more_passes(plan: Plan) -> Iterator[tuple[int, Bytes]]:
    """Into how many passes more than now the mesh lets a step fall, and the memory by rule with as many."""
    workload, work = plan.workload, plan.estimate.work
    experiment, devices = workload.experiment, ways(workload.mesh, BATCH)
    rows, now = experiment.training.batch_rows, experiment.training.accumulate
    for passes in (n for n in range(now + 1, rows + 1) if rows % n == 0):
        if divides(experiment.objectives, rows, passes * devices):
            changed = override(experiment, {"training.accumulate": passes})
            smaller = dataclasses.replace(work, kept=work.kept * now / passes)
            found = estimate(dataclasses.replace(workload, experiment=changed), smaller)
            yield passes, sum(found.memory.values())
