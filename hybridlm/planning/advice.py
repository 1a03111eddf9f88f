"""What to change in a config whose step does not fit, the largest part of its memory first."""

from collections.abc import Iterator

from hybridlm.planning.plan import Plan

STATE = ("parameters", "optimizer", "gradients")


def advice(plan: Plan) -> list[str]:
    """Changes that make the step smaller; each is listed once."""
    memory = plan.estimate.memory
    found = [change for part in sorted(memory, key=memory.get, reverse=True) for change in _of(part, plan)]
    return [*dict.fromkeys(found), "more chips"]


def _of(part: str, plan: Plan) -> Iterator[str]:
    experiment, mesh = plan.workload.experiment, plan.workload.mesh.shape
    training, copies = experiment.training, mesh["replica"] * mesh["data"]
    if part in STATE and copies > 1:
        yield "parameters over more devices: a larger mesh.fsdp in place of mesh.data or mesh.replica"
    if part == "kept activations":
        if experiment.model.remat != "full":
            yield "more is computed again: model.remat='full'"
        if training.batch_rows // training.accumulate > copies * mesh["fsdp"]:
            yield f"fewer rows at once: training.accumulate={2 * training.accumulate}"
        if mesh["sequence"] == 1:
            yield "parts of rows on each device: mesh.sequence=2"
    if part == "head":
        yield f"fewer logits at once: training.head_chunk={training.head_chunk // 2}"
