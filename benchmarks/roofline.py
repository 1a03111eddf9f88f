"""Where the time of a training step goes, part by part, beside the least that the part must take on this card.

    python -m benchmarks.roofline                    124M parameters, 32 rows of 1024, one accelerator
    python -m benchmarks.roofline --preset=1.3B --rows=8 --length=2048

Kernels of a few profiled steps are sorted by what the program was doing when it asked for them, and by their names. The
least time of products and attention is their operations over the peak; that of the optimizer, its bytes over the speed
of memory. Graphs of kernels are off here, since they hide what a kernel belongs to.
"""

import argparse
import collections
import pathlib
import re
import tempfile
from collections.abc import Iterator

import jax

from benchmarks.train_step import Timed, experiments, stepper
from hybridlm.config.experiment import Experiment
from hybridlm.config.storage import override
from hybridlm.models import decoder, size
from hybridlm.training.work import peak_flops

ATTENTION, PRODUCTS, HEAD, OPTIMIZER, REST = "attention", "products of layers", "head", "optimizer", "the rest"
PARTS = {
    ATTENTION: r"cudnn|fmha|dot_product_attention|jit\((forward|gradients|query_gradient|key_gradients)\)",
    HEAD: r"\bhead\b|odds",
    OPTIMIZER: r"\boptimizer\b",
    PRODUCTS: r"nvjet|gemm|cutlass|cublas|dot_general",
}
"""Part -> what its kernels, or the operations behind them, are called; the first that fits takes a kernel."""
MEMORY = 3.35e12
"""Bytes a second of an H100's memory, from its data sheet."""
STEPS = 5


def kernels(directory: str, program: str) -> Iterator[tuple[str, str, float]]:
    """(kernel, operation of the program, seconds) of everything that ran on a GPU."""
    operations = dict(re.findall(r'%?([\w.-]+) = [^\n]*?op_name="([^"]*)"', program))
    for file in pathlib.Path(directory).rglob("*.xplane.pb"):
        for plane in jax.profiler.ProfileData.from_file(str(file)).planes:
            lines = plane.lines if plane.name.startswith("/device:GPU") else ()
            for line in lines:
                if line.name.startswith("Stream"):
                    for event in line.events:
                        operation = operations.get(dict(event.stats).get("hlo_op"), "")
                        yield event.name, operation, event.duration_ns / 1e9


def part_of(kernel: str, operation: str) -> str:
    """Which part a kernel belongs to."""
    said = f"{kernel} {operation}"
    return next((part for part, pattern in PARTS.items() if re.search(pattern, said, re.IGNORECASE)), REST)


def least(experiment: Experiment, vocab_size: int, peak: float) -> dict[str, float]:
    """Seconds that the parts must take at the peaks of the card."""
    model, tokens = experiment.model, experiment.training.batch_rows * experiment.data.row_length
    rows, parameters = model.padded_vocab(vocab_size), size.count(decoder.shapes(model, vocab_size))
    layers = parameters - rows * model.width * (1 if model.tied_head else 2)
    visible = experiment.data.row_length / 2
    # gradients are read; parameters and both moments are read and written
    moved = 28 if experiment.optimizer.first_moment == "float32" else 24
    return {
        ATTENTION: 12 * model.layers * model.heads * model.key_width * visible * tokens / peak,
        PRODUCTS: 6 * layers * tokens / peak,
        HEAD: 6 * rows * model.width * tokens / peak,
        OPTIMIZER: moved * parameters / MEMORY,
    }


def profiled(timed: Timed) -> dict[str, collections.Counter]:
    """Part -> seconds of a step by kernel."""
    timed.take(3)
    spent = collections.defaultdict(collections.Counter)
    with tempfile.TemporaryDirectory() as directory:
        with jax.profiler.trace(directory):
            timed.take(STEPS)
        for kernel, operation, seconds in kernels(directory, timed.program):
            spent[part_of(kernel, operation)][f"{kernel[:60]}  {operation[-60:]}"] += seconds / STEPS
    return spent


def show(name: str, experiment: Experiment, documents: int, longest: int) -> None:
    """Profiles a few steps on rows of so many documents and prints the table, with the longest kernels of each part."""
    spent = profiled(stepper(experiment, documents, xla_gpu_enable_command_buffer=""))
    floor = least(experiment, experiment.data.vocab_size, peak_flops() or float("inf"))
    total = sum(kernels.total() for kernels in spent.values())
    print(f"\n{name}: {total * 1e3:.2f} ms of kernels a step")
    for part, kernels in sorted(spent.items(), key=lambda item: -item[1].total()):
        bound = f"least {floor[part] * 1e3:7.2f} ms" if part in floor else ""
        print(f"  {part:20} {kernels.total() * 1e3:8.2f} ms {kernels.total() / total:6.1%}  {bound}")
        for kernel, seconds in kernels.most_common(longest):
            print(f"    {seconds * 1e3:7.3f} ms  {kernel}")


def main() -> None:
    """Prints one table per objective."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="125M")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--chunk", type=int, default=8192, help="tokens the head takes at once")
    parser.add_argument("--documents", type=int, default=2, help="of every row")
    parser.add_argument("--kernels", type=int, default=6, help="how many of each part to name")
    parser.add_argument("--only", default="ar", help="which of the objectives of benchmarks.train_step")
    flags = parser.parse_args()
    found = experiments(flags.preset, flags.rows, flags.length)
    experiment = override(found[flags.only], {"training.head_chunk": flags.chunk, "training.categories": False})
    show(flags.only, experiment, flags.documents, flags.kernels)


if __name__ == "__main__":
    main()
