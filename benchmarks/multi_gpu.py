"""A large model over the GPUs of one host: Llama-2-7B's shape, two rows of 4096 a GPU, token by token and by blocks.

    python -m benchmarks.multi_gpu                          everything, on all GPUs of this machine
    python -m benchmarks.multi_gpu --parts=steps,scaling    steps of the 7B, and 1.3B on 1, 2, 4, ... GPUs
    python -m benchmarks.multi_gpu --parts=losses           are the losses of every mesh those of one GPU?
    JAX_PLATFORMS=cpu JAX_NUM_CPU_DEVICES=8 python -m benchmarks.multi_gpu --preset=tiny

Of every mesh: step time, tokens a second and GPU, MFU (attention counted by the mask's own density, the head for
targets alone), memory by part, and how long collectives ran hidden and exposed. Text is packed rows of
`--prepared=DIR`, which `hybridlm prepare` has written, or else generated documents, which is said. "ar" is plain
causal, as in the figures that others publish; "packed" and "block" never see another document.
"""

import argparse
import dataclasses
import functools
import math
import os
import statistics
import tempfile
import time
from collections.abc import Iterator

import jax
import numpy as np

from benchmarks import overlap
from benchmarks.train_step import SPECIAL, WORDS
from hybridlm.config.experiment import Experiment
from hybridlm.config.mesh import MeshConfig
from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import autoregressive, block_diffusion, part_names
from hybridlm.config.presets import preset
from hybridlm.config.storage import override
from hybridlm.config.training import TrainingConfig
from hybridlm.data.prepared import Prepared, open_prepared
from hybridlm.data.stream import TrainStream
from hybridlm.sharding import mesh as meshes
from hybridlm.training import optimizers, placement
from hybridlm.training import state as states
from hybridlm.training import step as steps
from hybridlm.training import task as tasks
from hybridlm.training.session import task_of
from hybridlm.training.work import mean_visible, peak_flops, step_flops

FLAGS = (
    "--xla_gpu_enable_latency_hiding_scheduler=true",
    "--xla_gpu_enable_pipelined_all_gather=true",
    "--xla_gpu_enable_pipelined_reduce_scatter=true",
    "--xla_gpu_enable_while_loop_double_buffering=true",
    "--xla_gpu_all_gather_combine_threshold_bytes=134217728",
    "--xla_gpu_reduce_scatter_combine_threshold_bytes=134217728",
)
"""Collectives behind products, unless XLA_FLAGS says otherwise."""
TINY = ModelConfig(width=64, layers=2, heads=4, kv_heads=4, ffn=128, vocab_multiple=128)
OBJECTIVES = {
    "ar": autoregressive(across_documents=True),
    "packed": autoregressive(),
    "block": block_diffusion(32),
}
PARTS = ("steps", "scaling", "losses")
WARM_UP, PROFILED = 2, 3


@dataclasses.dataclass(frozen=True)
class Case:
    """One thing that is timed: a shape and an objective on a mesh."""

    shape: str
    objective: str
    mesh: MeshConfig

    def __str__(self) -> str:
        sizes = " x ".join(f"{axis} {size}" for axis, size in self.mesh.sizes.items() if size > 1)
        return f"{self.shape} {self.objective}, {sizes or 'one device'}"


def experiment(case: Case, rows: int, flags: argparse.Namespace) -> Experiment:
    """The run of a case with so many rows a step."""
    model = TINY if case.shape == "tiny" else preset(case.shape, dtype="bfloat16")
    changes = {name: getattr(flags, name) for name in ("loop", "remat") if getattr(flags, name)}
    whole = Experiment(
        name=str(case),
        model=dataclasses.replace(model, **changes),
        objectives={case.objective: OBJECTIVES[case.objective]},
        training=TrainingConfig(steps=1000, batch_rows=rows, head_chunk=flags.chunk),
        mesh=case.mesh,
    )
    return override(
        whole, {"data.row_length": flags.length, "data.vocab_size": 512 if case.shape == "tiny" else 32_000}
    )


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


def read(prepared: Prepared, experiment: Experiment) -> Iterator[dict[str, np.ndarray]]:
    """The batches of a run on prepared rows."""
    stream = TrainStream(prepared.rows("train"), seed=0, batch_rows=experiment.training.batch_rows)
    return (stream.batch(step) for step in range(experiment.training.steps))


def task_without_text(experiment: Experiment) -> tasks.Task:
    """The task of generated rows."""
    size = experiment.data.vocab_size
    words = [WORDS[n % len(WORDS)] + str(n).encode() * (n % 3 == 0) for n in range(size)]
    counts = (1e9 / np.arange(1, size + 1)).astype(np.int64)
    return tasks.make(experiment, words, counts, SPECIAL, ("english", "python", "sql"))


class Run:
    """A compiled step, its state and its batches on a mesh."""

    def __init__(self, case: Case, rows: int, flags: argparse.Namespace, prepared: Prepared | None):
        self.experiment = run = experiment(case, rows, flags)
        names = () if prepared is None else prepared.rows("train").names
        self.task = task_without_text(run) if prepared is None else task_of(run, prepared.vocabulary, names)
        self.devices = math.prod(run.mesh.sizes.values())
        mesh = meshes.make(run.mesh, jax.devices()[: self.devices])
        meshes.check(mesh, run.model, steps.rows_per_pass(run), run.data.row_length)
        optimizer = optimizers.make(run.optimizer, run.training.steps)
        parts = len(part_names(run.objectives)), steps.label_count(run, self.task)
        fresh = lambda: states.start(tasks.init(self.task, jax.random.key(0)), optimizer, *parts)  # noqa: E731
        where = placement.of_state(jax.eval_shape(fresh), mesh)
        self.state = jax.jit(fresh, out_shardings=where)()
        self.tables = placement.everywhere(self.task.tables, mesh)
        batches = generated(run) if prepared is None else read(prepared, run)
        self._batches = map(placement.placer(mesh), batches)
        self.batch = next(self._batches)
        step = steps.make(run, self.task, optimizer, **placement.spread_over(mesh))
        lowered = jax.jit(step, donate_argnums=0, out_shardings=where).lower(self.state, self.batch, self.tables)
        self.compiled = lowered.compile()

    def take(self) -> float:
        """Takes a step on the next batch; returns its seconds."""
        start = time.perf_counter()
        self.state = self.compiled(self.state, self.batch, self.tables)
        jax.block_until_ready(self.state)
        spent, self.batch = time.perf_counter() - start, next(self._batches)
        return spent

    def work(self) -> tuple[float, float]:
        """(operations of a step, keys that a query sees on average)."""
        draw = functools.partial(steps.draw, self.experiment, self.task, key=jax.random.key(0))
        inputs = jax.jit(draw)(self.batch)
        visible = mean_visible(inputs)
        return step_flops(self.experiment.model, self.task.vocab_size, inputs, visible), visible

    def memory(self) -> dict[str, float]:
        """GiB on the first device, by part."""
        own = functools.partial(_bytes_on, jax.devices()[0])
        found = {"parameters": own(self.state.params), "optimizer": own(self.state.opt_state), "batch": own(self.batch)}
        planned = self.compiled.memory_analysis()
        found["gradients and activations"] = planned.temp_size_in_bytes
        peak = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
        return {name: size / 2**30 for name, size in (found | ({"peak so far": peak} if peak else {})).items()}

    def collectives(self) -> overlap.Overlap | None:
        """Seconds of a step, from a profile of a few."""
        with tempfile.TemporaryDirectory() as directory:
            with jax.profiler.trace(directory):
                for _ in range(PROFILED):
                    self.take()
            found = overlap.of_profile(directory)
        return None if found is None else overlap.Overlap(*(spent / PROFILED for spent in found))


def _bytes_on(device, tree) -> int:
    shards = (shard for leaf in jax.tree.leaves(tree) for shard in leaf.addressable_shards if shard.device == device)
    return sum(shard.data.nbytes for shard in shards)


def show(case: Case, flags: argparse.Namespace, prepared: Prepared | None) -> float:
    """Prints what one case takes; returns tokens a second and device."""
    devices = math.prod(case.mesh.sizes.values())
    begin = time.perf_counter()
    run = Run(case, flags.rows * devices, flags, prepared)
    ready = time.perf_counter() - begin
    flops, visible = run.work()
    for _ in range(WARM_UP):
        run.take()
    spent = statistics.median(run.take() for _ in range(flags.steps))
    per_device = flags.rows * flags.length / spent
    peak = peak_flops()
    mfu = f", MFU {flops * jax.device_count() / devices / spent / peak:.3f}" if peak else ""
    print(f"\n{case}: {spent * 1e3:.1f} ms, {per_device:,.0f} tokens/s per device{mfu}")
    print(f"  {flops:.4g} FLOP a step, a query sees {visible:,.0f} keys on average; ready in {ready:.0f} s")
    print("  GiB on a device:", ", ".join(f"{name} {size:.2f}" for name, size in run.memory().items()))
    found = run.collectives()
    print("  collectives:", "no profile of kernels here" if found is None else _text(found, spent), flush=True)
    return per_device


def _text(found: overlap.Overlap, spent: float) -> str:
    return f"{found.hidden * 1e3:.1f} ms hidden, {found.exposed * 1e3:.1f} ms exposed ({found.exposed / spent:.1%})"


def show_losses(shape: str, meshes_: dict[str, MeshConfig], flags: argparse.Namespace, prepared) -> None:
    """Prints the losses of the same steps on every mesh, and how far they are from those of the first."""
    found = {}
    rows = flags.rows * max(math.prod(mesh.sizes.values()) for mesh in meshes_.values())
    for name, mesh in meshes_.items():
        run, losses = Run(Case(shape, "ar", mesh), rows, flags, prepared), []
        for _ in range(flags.steps):
            run.take()
            losses.append(float(run.state.loss))
        found[name] = np.array(losses)
        apart = np.abs(found[name] / next(iter(found.values())) - 1).max()
        print(f"\nlosses of {shape} on {name}: {' '.join(f'{x:.4f}' for x in losses)}; at most {apart:.2e} apart")


def counts(devices: int) -> list[int]:
    """1, 2, 4, ... up to the number of devices."""
    return [2**n for n in range(devices.bit_length())]


def main() -> None:
    """Prints what the flags ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="7B", help="shape of the steps, or 'tiny' for all")
    parser.add_argument("--ratio", default="1.3B", help="shape of scaling and losses, which one device holds")
    parser.add_argument("--parts", default=",".join(PARTS), help="which of " + ", ".join(PARTS))
    parser.add_argument("--objectives", default="ar,block", help="which of " + ", ".join(OBJECTIVES))
    parser.add_argument("--rows", type=int, default=2, help="rows of a device")
    parser.add_argument("--length", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--tensor", type=int, default=2, help="tensor-parallel ways of the second mesh")
    parser.add_argument("--chunk", type=int, default=4096, help="tokens whose logits a device holds at once")
    parser.add_argument("--loop", default="", help="scan or unroll, in place of the preset's")
    parser.add_argument("--remat", default="", help="none, dots or full, in place of the preset's")
    parser.add_argument("--prepared", default="", help="directory of prepared rows")
    flags = parser.parse_args()
    if flags.preset == "tiny":
        flags.ratio, flags.length = "tiny", min(flags.length, 64)
    os.environ.setdefault("XLA_FLAGS", " ".join(FLAGS))  # read when the devices are first asked for
    devices, parts = jax.device_count(), flags.parts.split(",")
    print(f"{devices} x {jax.devices()[0].device_kind}, jax {jax.__version__}, XLA_FLAGS={os.environ['XLA_FLAGS']}")
    prepared = open_prepared(flags.prepared) if flags.prepared else None
    print(f"rows of {flags.prepared or 'generated documents, no real text'}")
    spread = {"fsdp": MeshConfig(data=1, fsdp=devices)}
    if devices % flags.tensor == 0:
        spread["tensor"] = MeshConfig(data=1, fsdp=devices // flags.tensor, tensor=flags.tensor)
    if "steps" in parts:
        for objective in flags.objectives.split(","):
            for mesh in spread.values():
                show(Case(flags.preset, objective, mesh), flags, prepared)
    if "scaling" in parts:
        cases = {n: Case(flags.ratio, "ar", MeshConfig(data=1, fsdp=n)) for n in counts(devices)}
        speed = {n: show(case, flags, prepared) for n, case in cases.items()}
        print("\nspeed of a device beside one alone:", ", ".join(f"{n}: {x / speed[1]:.3f}" for n, x in speed.items()))
    if "losses" in parts:
        show_losses(flags.ratio, {"one device": MeshConfig(data=1)} | spread, flags, prepared)


if __name__ == "__main__":
    main()
