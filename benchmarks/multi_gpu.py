"""A large model over the GPUs of one host: Llama-2-7B's shape, two rows of 4096 a GPU, token by token and by blocks.

    python -m benchmarks.multi_gpu                          everything, on all GPUs of this machine
    python -m benchmarks.multi_gpu --parts=steps,scaling    steps of the 7B, and 1.3B on 1, 2, 4, ... GPUs
    python -m benchmarks.multi_gpu --parts=losses           are the losses of every mesh those of one GPU?
    python -m benchmarks.multi_gpu --parts=categories       what category metrics cost, step by step in turn
    JAX_PLATFORMS=cpu JAX_NUM_CPU_DEVICES=8 python -m benchmarks.multi_gpu --preset=tiny

Of every mesh: step time, beside the time that `hybridlm plan` expects, tokens a second and GPU, MFU (attention counted
by the mask's own density, the head for targets alone), memory by part, and how long collectives ran hidden and exposed.
Text is packed rows of `--prepared=DIR`, which `hybridlm prepare` has written, or else generated documents, which is
said. "ar" is plain causal, as in the figures that others publish; "packed" and "block" never see another document.
"""

import argparse
import dataclasses
import math
import os
from typing import NamedTuple

import jax
import numpy as np

from benchmarks import overlap
from benchmarks.on_mesh import Run
from hybridlm.config.experiment import Experiment
from hybridlm.config.mesh import MeshConfig
from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import autoregressive, block_diffusion
from hybridlm.config.presets import preset
from hybridlm.config.storage import override
from hybridlm.config.training import TrainingConfig
from hybridlm.data.prepared import Prepared, open_prepared
from hybridlm.training.work import peak_flops

FLAGS = (
    "--xla_gpu_enable_latency_hiding_scheduler=true",
    "--xla_gpu_enable_pipelined_all_gather=true",
    "--xla_gpu_enable_pipelined_reduce_scatter=true",
    "--xla_gpu_enable_while_loop_double_buffering=true",
    "--xla_gpu_all_gather_combine_threshold_bytes=134217728",
    "--xla_gpu_reduce_scatter_combine_threshold_bytes=134217728",
)
"""Collectives behind products, unless XLA_FLAGS says otherwise."""
TINY = ModelConfig(width=64, layers=2, heads=4, kv_heads=4, ffn=128)
OBJECTIVES = {
    "ar": autoregressive(across_documents=True),
    "packed": autoregressive(),
    "block": block_diffusion(32),
}
PARTS = ("steps", "scaling", "losses", "categories")
WARM_UP = 2


@dataclasses.dataclass(frozen=True)
class Case:
    """One thing that is timed: a shape and an objective on a mesh."""

    shape: str
    objective: str
    mesh: MeshConfig

    def __str__(self) -> str:
        sizes = " x ".join(f"{axis} {size}" for axis, size in self.mesh.sizes.items() if size > 1)
        return f"{self.shape} {self.objective}, {sizes or 'one device'}"

    @property
    def devices(self) -> int:
        return math.prod(self.mesh.sizes.values())


class Speed(NamedTuple):
    """Tokens a second and device, and the share of the peak (NaN where no data sheet is known)."""

    tokens: float
    mfu: float


def experiment(case: Case, rows: int, flags: argparse.Namespace) -> Experiment:
    """The run of a case with so many rows a step."""
    vocabulary = 512 if case.shape == "tiny" else 32_000
    model = TINY if case.shape == "tiny" else preset(case.shape, dtype="bfloat16")
    changes = {name: getattr(flags, name) for name in ("loop", "remat", "layers") if getattr(flags, name)}
    whole = Experiment(
        name=str(case),
        # the table has as many rows whatever the tokenizer
        model=dataclasses.replace(model, vocab_multiple=vocabulary, **changes),
        objectives={case.objective: OBJECTIVES[case.objective]},
        training=TrainingConfig(steps=1000, batch_rows=rows, head_chunk=flags.chunk),
        mesh=case.mesh,
    )
    return override(whole, {"data.row_length": flags.length, "data.vocab_size": vocabulary})


def show(case: Case, run: Run, flags: argparse.Namespace) -> Speed:
    """Prints what a case takes."""
    run.start()
    flops, visible = run.work()
    for _ in range(WARM_UP):
        run.take()
    low, spent, high = np.percentile([run.take() for _ in range(flags.steps)], (25, 50, 75))
    peak = peak_flops() or math.nan
    found = Speed(flags.rows * flags.length / spent, flops * jax.device_count() / case.devices / spent / peak)
    print(
        f"\n{case}: {spent * 1e3:.1f} ms ({low * 1e3:.1f}-{high * 1e3:.1f}, {flags.steps} steps), "
        f"{found.tokens:,.0f} tokens/s per device, MFU {found.mfu:.3f}"
    )
    print(f"  {flops:.4g} FLOP a step, a query sees {visible:,.0f} keys on average; ready in {run.ready:.0f} s")
    print("  planned:", "no data sheet" if run.expected is None else planned_text(run.expected.expected, spent))
    print("  GiB on a device:", ", ".join(f"{name} {size:.2f}" for name, size in run.memory().items()), flush=True)
    kernels = run.kernels()
    print("  collectives:", "no profile of kernels here" if kernels is None else kernels_text(kernels), flush=True)
    return found


def planned_text(planned: float, measured: float) -> str:
    """The time that was expected, and how far off it is, as a share of the measured."""
    return f"{planned * 1e3:.1f} ms, an error of {planned / measured - 1:+.1%}"


def kernels_text(found: overlap.Overlap) -> str:
    """Where the time of collectives goes, beside that of other kernels, of a step as profiled."""
    share = found.exposed / (found.work + found.exposed)
    return (
        f"{found.hidden * 1e3:.1f} ms hidden, {found.exposed * 1e3:.1f} ms exposed ({share:.1%} of all kernels' time); "
        f"other kernels {found.work * 1e3:.1f} ms"
    )


def show_losses(shape: str, meshes: dict[str, MeshConfig], flags: argparse.Namespace, prepared) -> None:
    """Prints the losses of the same steps on every mesh, and how far they are from those of the first."""
    flags = argparse.Namespace(**vars(flags) | {"loop": "scan", "remat": "full"})  # one device takes the rows of all
    found = {}
    rows = flags.rows * max(math.prod(mesh.sizes.values()) for mesh in meshes.values())
    runs = {name: Run(experiment(Case(shape, "ar", mesh), rows, flags), prepared) for name, mesh in meshes.items()}
    for name in list(runs):
        run, losses = runs.pop(name).start(), []
        for _ in range(flags.steps):
            run.take()
            losses.append(float(run.state.loss))
        found[name] = np.array(losses)
        apart = np.abs(found[name] / next(iter(found.values())) - 1).max()
        print(f"\nlosses of {shape} on {name}: {' '.join(f'{x:.4f}' for x in losses)}; at most {apart:.2e} apart")
        print(f"  ready in {run.ready:.0f} s", flush=True)


def show_categories(case: Case, flags: argparse.Namespace, prepared: Prepared | None) -> None:
    """Prints the time of steps with category metrics over that without, taken in turn."""
    whole = experiment(case, flags.rows * case.devices, flags)
    changed = {name: override(whole, {"training.categories": on}) for name, on in (("with", True), ("without", False))}
    runs = {name: Run(one, prepared) for name, one in changed.items()}
    for run in runs.values():
        run.start().take()
    spent = {name: [] for name in runs}
    for pair in range(flags.pairs):
        # the order alternates, so that a drift of the machine's speed touches both alike
        for name in sorted(runs, reverse=bool(pair % 2)):
            spent[name].append(runs[name].take())
    low, ratio, high = np.percentile(np.divide(spent["with"], spent["without"]), (25, 50, 75))
    print(
        f"\n{case}, with category metrics over without: {ratio:.4f} ({low:.4f}-{high:.4f}) in {flags.pairs} pairs",
        flush=True,
    )


def counts(devices: int) -> list[int]:
    """1, 2, 4, ... up to the number of devices."""
    return [2**n for n in range(devices.bit_length())]


def spread_over(devices: int, tensor: int) -> dict[str, MeshConfig]:
    """Parameters divided over all devices, and over groups of as many as share each layer's heads and columns."""
    found = {"fsdp": MeshConfig(data=1, fsdp=devices)}
    if devices % tensor == 0:
        name = "tensor" if devices == tensor else "fsdp x tensor"
        found[name] = MeshConfig(data=1, fsdp=devices // tensor, tensor=tensor)
    return found


def show_steps(flags: argparse.Namespace, prepared: Prepared | None) -> None:
    """Prints every objective on every mesh, and the others' operations a second beside the first's."""
    for mesh in spread_over(jax.device_count(), flags.tensor).values():
        speeds = {}
        for objective in flags.objectives.split(","):
            case = Case(flags.preset, objective, mesh)
            # not by name: its memory is to be free again before the next is compiled
            speeds[objective] = show(case, Run(experiment(case, flags.rows * case.devices, flags), prepared), flags)
        first, *others = speeds
        for other in others:
            ratio = speeds[other].mfu / speeds[first].mfu
            print(f"\n{other} beside {first}, per useful FLOP: {ratio:.3f}", flush=True)


def show_scaling(flags: argparse.Namespace, prepared: Prepared | None) -> None:
    """Prints the same rows a device on more and more devices."""
    cases = {n: Case(flags.ratio, "ar", MeshConfig(data=1, fsdp=n)) for n in counts(jax.device_count())}
    runs = {n: Run(experiment(case, flags.rows * n, flags), prepared) for n, case in cases.items()}
    speed = {n: show(case, runs.pop(n), flags).tokens for n, case in cases.items()}
    shares = ", ".join(f"{n}: {found / speed[1]:.3f}" for n, found in speed.items())
    print(f"\nspeed of a device beside one alone: {shares}", flush=True)


def main() -> None:
    """Prints what the flags ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="7B", help="shape of steps and categories, or 'tiny' for all")
    parser.add_argument("--ratio", default="1.3B", help="shape of scaling and losses, which one device holds")
    parser.add_argument("--parts", default=",".join(PARTS), help="which of " + ", ".join(PARTS))
    parser.add_argument("--objectives", default="ar,block", help="which of " + ", ".join(OBJECTIVES))
    parser.add_argument("--rows", type=int, default=2, help="rows of a device")
    parser.add_argument("--length", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--pairs", type=int, default=20, help="of steps with and without category metrics")
    parser.add_argument("--tensor", type=int, default=2, help="tensor-parallel ways of the second mesh")
    parser.add_argument("--chunk", type=int, default=4096, help="tokens whose logits a device holds at once")
    parser.add_argument("--layers", type=int, default=0, help="how many, in place of the preset's")
    parser.add_argument("--loop", default="", help="scan or unroll, in place of the preset's")
    parser.add_argument("--remat", default="", help="none, dots or full, in place of the preset's")
    parser.add_argument("--prepared", default="", help="directory of prepared rows")
    flags = parser.parse_args()
    if flags.preset == "tiny":
        flags.ratio, flags.length = "tiny", min(flags.length, 64)
    # both are read when the devices are first asked for
    os.environ.setdefault("XLA_FLAGS", " ".join(FLAGS))
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.93")
    devices, parts = jax.device_count(), flags.parts.split(",")
    print(f"{devices} x {jax.devices()[0].device_kind}, jax {jax.__version__}, XLA_FLAGS={os.environ['XLA_FLAGS']}")
    prepared = open_prepared(flags.prepared) if flags.prepared else None
    if prepared and prepared.manifest.row_length != flags.length:
        parser.error(f"--length={flags.length}, but {flags.prepared} holds rows of {prepared.manifest.row_length}")
    print(f"rows of {flags.prepared or 'generated documents, no real text'}", flush=True)
    if "scaling" in parts:
        show_scaling(flags, prepared)
    if "steps" in parts:
        show_steps(flags, prepared)
    if "losses" in parts:
        meshes = {"one device": MeshConfig(data=1)} | spread_over(devices, flags.tensor)
        show_losses(flags.ratio, meshes, flags, prepared)
    if "categories" in parts:
        show_categories(Case(flags.preset, "ar", MeshConfig(data=1, fsdp=devices)), flags, prepared)


if __name__ == "__main__":
    main()
