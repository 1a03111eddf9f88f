"""A step's memory, traffic and operations by rule: what must lie, move and be computed on each device, counted from
shapes and places alone. No compiler is asked, so it answers for any number of chips.
"""

import collections
import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from hybridlm.config.rows import allocate
from hybridlm.evaluation import task as tasks
from hybridlm.planning.chips import Chip
from hybridlm.planning.workload import Workload
from hybridlm.sharding.attention import planner
from hybridlm.sharding.mesh import BATCH, PARAMETERS, ways
from hybridlm.training import step as steps
from hybridlm.training.work import mean_visible, step_flops

SAMPLE_ROWS = 8
"""Rows of text whose visible pairs and targets are counted; a step's are in proportion."""
MARGIN = 1.6
"""Compilers have needed up to so many times the memory by rule."""
_FLOAT32 = 4

Bytes = int | float
"""Of one device; a share of something that lies on several need not be whole."""


@dataclasses.dataclass(frozen=True)
class Work:
    """Of a whole step: `model` operations as MFU counts them, those `executed` with what is recomputed, and the bytes
    that a pass of the network keeps for its gradient, over all devices."""

    model: float
    executed: float
    kept: Bytes

    def of(self, share: float) -> "Work":
        """The same for more or fewer rows."""
        return Work(share * self.model, share * self.executed, share * self.kept)


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Per device: bytes that lie in memory and bytes received over the wires, by part; operations of the whole step."""

    memory: dict[str, Bytes]
    traffic: dict[str, Bytes]
    work: Work

    @property
    def state(self) -> Bytes:
        """Bytes that live from step to step."""
        return self.memory["parameters"] + self.memory["optimizer"]


def estimate(workload: Workload, work: Work) -> Estimate:
    """What a step takes, by rule."""
    return Estimate(_memory(workload, work), _traffic(workload), work)


def fit(memory: Bytes, room: Bytes) -> str:
    """What is to be said of a step that takes so much memory by rule: "fits", "may not fit" or "does not fit"."""
    if memory > room:
        return "does not fit"
    return "fits" if MARGIN * memory <= room else "may not fit"


def saved_by_head_kernel(workload: Workload) -> Bytes:
    """How much less the head takes where its kernel writes, of each logit, odds of bfloat16 alone."""
    ids = workload.task.model.padded_vocab(workload.task.vocab_size)
    return (2 * _FLOAT32 - 2) * workload.experiment.training.head_chunk * ids


def work_of(workload: Workload, chip: Chip) -> Work:
    """The work of a step; operations are counted on a few rows of one document each."""
    experiment, task = workload.experiment, workload.task
    model, rows = experiment.model, min(experiment.training.batch_rows, SAMPLE_ROWS)
    position = jnp.broadcast_to(jnp.arange(experiment.data.row_length), (rows, experiment.data.row_length))
    text = {"tokens": len(task.ids.never) + position % 7, "segment_ids": jnp.ones_like(position), "positions": position}
    inputs = jax.jit(lambda batch: steps.draw(experiment, task, batch, jax.random.key(0)))(text)
    visible = mean_visible(inputs)
    scale = experiment.training.batch_rows / rows
    total = scale * step_flops(model, task.vocab_size, inputs, visible)
    mixed = scale * inputs.inputs_BT.size * 12 * model.layers * model.heads * model.key_width * visible
    products = (total - mixed) * (4 / 3 if model.remat == "full" else 1)
    executed = products + mixed * (1 if model.remat == "none" else 4 / 3)
    return Work(total, executed, _kept(workload, chip))


def _memory(workload: Workload, work: Work) -> dict[str, Bytes]:
    """Parts of a device's memory; with `mesh.tensor`, kept activations are counted as if not divided by it."""
    model, training = workload.experiment.model, workload.experiment.training
    params, rows = workload.state.params, workload.task.model.padded_vocab(workload.task.vocab_size)
    table, layer = rows * model.width, _divided(params["layers"]) / model.layers
    divided, width = workload.mesh.shape["tensor"], _width(workload)
    return {
        "parameters": _held(params),
        "optimizer": _held(workload.state.opt_state),
        "gradients": _held(params),
        "summed gradients": _held(params) if training.accumulate > 1 else 0,
        "kept activations": work.kept / ways(workload.mesh, (*BATCH, "sequence")),
        "one layer's weights and gradients": 2 * width * layer / divided,
        "head": (table * (width + _FLOAT32) + 2 * _FLOAT32 * training.head_chunk * rows) / divided,
    }


def _kept(workload: Workload, chip: Chip) -> int:
    """Bytes of all that one pass keeps: what `jax.vjp` closes over, but for the parameters."""
    # each device plans for its own rows, of which a kernel may take only so many
    plan = functools.partial(planner(workload.mesh), platform=chip.platform)
    try:
        return _kept_with(workload, plan)
    except RuntimeError as error:
        if "cuDNN" not in str(error):
            raise
        # Mosaic keeps what cuDNN would: queries, keys, values, outputs and a sum for each
        return _kept_with(workload, lambda *facts, **options: plan(*facts, **options | {"backend": "mosaic"}))


def _kept_with(workload: Workload, plan: Callable) -> int:
    experiment, task, params = workload.experiment, workload.task, workload.state.params
    rows = experiment.training.batch_rows // experiment.training.accumulate
    batch = {name: jax.ShapeDtypeStruct((rows, x.shape[1]), x.dtype) for name, x in workload.batch.items()}

    def gradient(params: Any, batch: Any) -> Any:
        inputs = steps.draw(experiment, task, batch, jax.random.key(0))
        return jax.vjp(lambda params: tasks.hidden(task, params, inputs, plan=plan), params)[1]

    found = _counted(jax.eval_shape(gradient, params, batch)) - _counted(params)
    return sum(times * math.prod(shape) * dtype.itemsize for (shape, dtype), times in found.items())


def _counted(tree: Any) -> collections.Counter:
    return collections.Counter((x.shape, x.dtype) for x in jax.tree.leaves(tree))


def _traffic(workload: Workload) -> dict[str, Bytes]:
    """Bytes a device receives in a step, by why."""
    model, training, mesh = workload.experiment.model, workload.experiment.training, workload.mesh
    width = _width(workload)
    matrices = width * _divided(workload.state.params) / mesh.shape["tensor"]
    cut, copies = ways(mesh, PARAMETERS), ways(mesh, ("replica", "data"))
    tensor, sequence = mesh.shape["tensor"], mesh.shape["sequence"]
    rows = allocate(workload.experiment.objectives, training.batch_rows)
    length = rows.streams * workload.experiment.data.row_length
    positions = rows.wide * length / ways(mesh, (*BATCH, "sequence"))
    passes = 2 if model.remat == "none" else 3
    across = width * model.layers * positions * model.width * 2 * (1 - 1 / tensor)
    keys = 2 * width * model.layers * positions * model.kv_heads * model.key_width / tensor
    return {
        "gathering parameters": 2 * training.accumulate * matrices * (1 - 1 / cut),
        "scattering gradients": training.accumulate * matrices * (1 - 1 / cut),
        "summing copies' gradients": training.accumulate * 2 * matrices / cut * (1 - 1 / copies),
        "summing over tensor": 2 * passes * across,
        "gathering keys and values": passes * keys * (sequence - 1),
    }


def _width(workload: Workload) -> int:
    """Bytes of a number in products and on the wires."""
    return jnp.dtype(workload.experiment.model.dtype).itemsize


def _held(tree: Any) -> int:
    """Bytes of arrays on one device."""
    return sum(math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def _divided(tree: Any) -> int:
    """Numbers in the parameters that a mesh divides; the others are small and lie on every device."""
    return sum(math.prod(x.shape) for x in jax.tree.leaves(tree) if any(x.sharding.spec))
