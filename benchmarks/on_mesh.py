"""One training step on a mesh of this machine's devices: compiled from shapes, started, taken, and what it took.

Nothing lies on the devices before `start`, so several steps can be compiled first and hold memory one after the other.
"""

import functools
import math
import tempfile
import time
from collections.abc import Iterator

import jax
import numpy as np

from benchmarks import overlap
from benchmarks.train_step import SPECIAL, WORDS
from hybridlm.config.experiment import Experiment
from hybridlm.data.prepared import Prepared
from hybridlm.data.stream import TrainStream
from hybridlm.evaluation import task as tasks
from hybridlm.evaluation.task import task_of
from hybridlm.planning import chips, workload
from hybridlm.planning.estimate import estimate, work_of
from hybridlm.planning.roofline import Roofline, roofline
from hybridlm.sharding import mesh as meshes
from hybridlm.sharding import placement
from hybridlm.sharding.rules import batch_sharding
from hybridlm.training import optimizers
from hybridlm.training import step as steps
from hybridlm.training.state import placed
from hybridlm.training.work import mean_visible, step_flops

PROFILED = 3
"""Steps of a profile."""


class Run:
    """A compiled step of an experiment, and once started its state and its batches."""

    def __init__(self, experiment: Experiment, prepared: Prepared | None):
        self.experiment, self._prepared = experiment, prepared
        begin = time.perf_counter()
        names = () if prepared is None else prepared.rows("train").names
        self.task = _without_text(experiment) if prepared is None else task_of(experiment, prepared.vocabulary, names)
        self.devices = math.prod(experiment.mesh.sizes.values())
        self.mesh = meshes.make(experiment.mesh, jax.devices()[: self.devices])
        meshes.check(self.mesh, experiment)
        optimizer = optimizers.make(experiment.optimizer, experiment.training.steps)
        make = functools.partial(workload.new_state, experiment, self.task, optimizer)
        state = jax.eval_shape(make)
        where = placed(state, self.mesh)
        self._fresh = jax.jit(make, out_shardings=where).lower().compile()
        rows = generated(experiment) if prepared is None else read(prepared, experiment)
        self._first, self._rows = next(rows), rows
        step = steps.make(experiment, self.task, optimizer, **placement.spread_over(self.mesh))
        step = jax.jit(functools.partial(step, tables=self.task.tables), donate_argnums=0, out_shardings=where)
        self.compiled = step.lower(placement.abstract(state, where), self._shapes()).compile()
        self.expected = expected(experiment, self.task)
        self.ready = time.perf_counter() - begin

    def _shapes(self) -> dict[str, jax.ShapeDtypeStruct]:
        where = batch_sharding(self.mesh)
        return {name: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where) for name, x in self._first.items()}

    def start(self) -> "Run":
        """Puts a fresh state and the first batch on the devices."""
        self.state = self._fresh()
        self._place = placement.placer(self.mesh)
        self.batch = self._place(self._first)
        return self

    def take(self) -> float:
        """Takes a step, waits for it and places the next batch; returns the seconds of the step."""
        begin = time.perf_counter()
        self.state = self.compiled(self.state, self.batch)
        jax.block_until_ready(self.state)
        spent, self.batch = time.perf_counter() - begin, self._place(next(self._rows))
        return spent

    def work(self) -> tuple[float, float]:
        """(operations of a step, keys that a query sees on average)."""
        draw = functools.partial(steps.draw, self.experiment, self.task, key=jax.random.key(0))
        inputs = jax.jit(draw)(self.batch)
        visible = mean_visible(inputs)
        return step_flops(self.experiment.model, self.task.vocab_size, inputs, visible), visible

    def memory(self) -> dict[str, float]:
        """GiB on the first device, by part; gradients by rule, which are of the size of the parameters."""
        device = self.mesh.devices.flat[0]
        own = functools.partial(_bytes_on, device)
        found = {"parameters": own(self.state.params), "optimizer": own(self.state.opt_state), "batch": own(self.batch)}
        temporary = self.compiled.memory_analysis().temp_size_in_bytes
        found["gradients"] = min(found["parameters"], temporary)
        found["activations and the rest"] = temporary - found["gradients"]
        if peak := (device.memory_stats() or {}).get("peak_bytes_in_use"):
            found["peak so far"] = peak
        return {name: size / 2**30 for name, size in found.items()}

    def kernels(self) -> overlap.Overlap | None:
        """Seconds of a step, from a profile of a few."""
        with tempfile.TemporaryDirectory() as directory:
            with jax.profiler.trace(directory):
                for _ in range(PROFILED):
                    self.take()
            found = overlap.of_profile(directory)
        return None if found is None else overlap.Overlap(*(spent / PROFILED for spent in found))


def expected(experiment: Experiment, task: tasks.Task) -> Roofline | None:
    """What `hybridlm plan` says of the step on this kind of device, or None where no data sheet is known."""
    name = next((name for name in chips.CHIPS if name in jax.devices()[0].device_kind.lower()), None)
    if name is None or not chips.CHIPS[name].flops:
        return None
    count = math.prod(experiment.mesh.sizes.values())
    planned = workload.make(experiment, task, chips.Topology(name, chips.CHIPS[name], (count,)))
    return roofline(planned, chips.CHIPS[name], estimate(planned, work_of(planned, chips.CHIPS[name])))


def read(prepared: Prepared, experiment: Experiment) -> Iterator[dict[str, np.ndarray]]:
    """The batches of a run on prepared rows."""
    stream = TrainStream(prepared.rows("train"), seed=0, batch_rows=experiment.training.batch_rows)
    return (stream.batch(step) for step in range(experiment.training.steps))


def generated(experiment: Experiment) -> Iterator[dict[str, np.ndarray]]:
    """Packed rows of documents whose lengths are log-normal around 600 tokens, their ids by Zipf's law."""
    draws, length = np.random.default_rng(0), experiment.data.row_length
    while True:
        rows = [_row(draws, length, experiment.data.vocab_size) for _ in range(experiment.training.batch_rows)]
        yield {name: np.stack([row[name] for row in rows]).astype(np.int32) for name in rows[0]}


def _row(draws: np.random.Generator, length: int, vocab_size: int) -> dict[str, np.ndarray]:
    sizes = np.maximum(draws.lognormal(6.0, 0.9, length).astype(int), 8)
    segment = np.repeat(np.arange(1, length + 1), sizes)[:length]
    starts = np.flatnonzero(np.diff(segment, prepend=0))
    tokens = np.minimum(draws.zipf(1.2, length), vocab_size - 1)
    return {
        "tokens": np.maximum(tokens, len(SPECIAL)),
        "segment_ids": segment,
        "positions": np.arange(length) - starts[segment - 1],
        "word_band": draws.integers(0, 6, length),
        "language": draws.integers(0, 3, length),
    }


def _without_text(experiment: Experiment) -> tasks.Task:
    """The task of generated rows."""
    size = experiment.data.vocab_size
    words = [WORDS[n % len(WORDS)] + str(n).encode() * (n % 3 == 0) for n in range(size)]
    counts = (1e9 / np.arange(1, size + 1)).astype(np.int64)
    return tasks.make(experiment, words, counts, SPECIAL, ("english", "python", "sql"))


def _bytes_on(device, tree) -> int:
    shards = (shard for leaf in jax.tree.leaves(tree) for shard in leaf.addressable_shards if shard.device == device)
    return sum(shard.data.nbytes for shard in shards)
