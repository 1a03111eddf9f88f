"""A plan as a person reads it: does it fit, how long will it take, what takes longest, and what to change."""

import collections
import math
from collections.abc import Mapping

import jax

from hybridlm.planning.advice import advice
from hybridlm.planning.chips import GIB
from hybridlm.planning.estimate import MARGIN, Bytes, saved_by_head_kernel
from hybridlm.planning.plan import Plan
from hybridlm.planning.program import NoProgram
from hybridlm.planning.roofline import ACHIEVED
from hybridlm.sharding import rules


def page(plan: Plan) -> str:
    """The whole plan."""
    by_rule = [_table("memory per device, by rule", plan.estimate.memory)]
    traffic = [_table("received per device and step, by rule", plan.estimate.traffic)]
    if isinstance(plan.program, NoProgram):
        by_rule.append(plan.program.reason)
    else:
        by_rule.append(_table("memory per device, by the compiler", _compiled(plan)))
        traffic.append(_table("received per device and step, by the compiler", _collectives(plan)))
    return "\n\n".join([_heading(plan), *by_rule, *_assumed(plan), _verdict(plan), *traffic, _time(plan)])


def _heading(plan: Plan) -> str:
    experiment, mesh = plan.workload.experiment, plan.workload.mesh.shape
    sizes = ", ".join(f"{axis}={ways}" for axis, ways in mesh.items() if ways > 1) or "of one device"
    parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(plan.workload.state.params))
    return (
        f"{experiment.name} on {plan.topology}: {plan.topology.count} x {plan.topology.name}, mesh {sizes}\n"
        f"{parameters / 1e9:.2f}B parameters, {experiment.training.batch_rows} rows of {experiment.data.row_length} "
        f"tokens a step, remat {experiment.model.remat}"
    )


def _table(title: str, rows: Mapping[str, Bytes]) -> str:
    rows = {name: value for name, value in rows.items() if value} | {"sum": sum(rows.values())}
    return "\n".join([title, *(f"  {name:<36}{value / GIB:9.3f} GiB" for name, value in rows.items())])


def _compiled(plan: Plan) -> dict[str, Bytes]:
    gradients = min(plan.estimate.memory["gradients"], plan.program.temporary)
    return {
        "parameters, optimizer, batch": plan.program.arguments,
        "gradients": gradients,
        "activations and other temporaries": plan.program.temporary - gradients,
    }


def _assumed(plan: Plan) -> list[str]:
    """Kernels that ask the machine they run on, which is not this one, what it is."""
    model, mesh = plan.workload.experiment.model, plan.workload.mesh
    if plan.topology.chip.platform != "gpu" or rules.parts(mesh, "batch") != mesh.size:
        return []
    has_own_loss = any(one.corruption == "uniform" for one in plan.workload.experiment.objectives.values())
    if model.dtype != "bfloat16" or model.logit_softcap or (has_own_loss and mesh.size > 1):
        return []
    return [
        f"assumed: a head that writes logits, {saved_by_head_kernel(plan.workload) / GIB:.2f} GiB more than the kernel "
        "that H100s take\nwhere shapes suit it; a run says which under `head`, docs/performance.md how fast"
    ]


def _verdict(plan: Plan) -> str:
    limit, memory = plan.topology.chip.memory, plan.needed
    if plan.fit == "fits":
        by = f" by rule, even if it needs {MARGIN} times as much" if isinstance(plan.program, NoProgram) else ""
        left = "" if math.isinf(limit) else f": {(limit - memory) / GIB:.2f} of {limit / GIB:.2f} GiB are left"
        return f"fits{by}{left}"
    size = f"{limit / GIB:.2f} GiB"
    if plan.fit == "may not fit":
        size += f": {memory / GIB:.2f} by rule, and compilers have needed up to {MARGIN} times as much"
    return "\n".join([f"{plan.fit} into {size}; try:", *(f"  - {one}" for one in advice(plan))])


def _collectives(plan: Plan) -> dict[str, Bytes]:
    count, received = collections.Counter(), collections.Counter()
    for found in plan.program.collectives:
        count[found.kind] += found.count
        received[found.kind] += found.count * found.received
    return {f"{count[kind]} x {kind}": size for kind, size in received.most_common()}


def _time(plan: Plan) -> str:
    work, times, tokens = plan.estimate.work, plan.times, plan.workload.tokens
    head = f"{work.model:.3g} operations a step as MFU counts them, {work.executed:.3g} with the recomputed"
    if times is None:
        return f"{head}\nno data sheet says what this chip can do, so no time follows"
    resources = {"operations": times.operations, "memory": times.memory, "wires": times.wires}
    speed = tokens / times.expected
    return "\n".join(
        [
            head,
            "time of a step at the peak of each resource",
            *(f"  {name:<36}{1e3 * seconds:9.1f} ms" for name, seconds in resources.items()),
            f"limited by {times.limit}: at best {1e3 * times.best:.1f} ms, {tokens / times.best:,.0f} tokens/s",
            f"expected, with operations at {ACHIEVED:.0%} of the peak: {1e3 * times.expected:.1f} ms, {speed:,.0f} "
            f"tokens/s, {speed / plan.topology.count:,.0f} a chip",
        ]
    )
