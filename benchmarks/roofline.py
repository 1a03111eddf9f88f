"""Where the time of a training step goes, part by part, beside the least that the part must take on this card.

    python -m benchmarks.roofline                    124M parameters, 32 rows of 1024, one accelerator
    python -m benchmarks.roofline --preset=1.3B --rows=8 --length=2048

Kernels of a few profiled steps are sorted by their names, which tell products, attention and copies apart, but not
which product or which reduction of the network they are. The least time of the products and of attention is their
operations over the peak; that of the rest, what the optimizer reads and writes over the speed of memory.
"""

import argparse
import collections
import pathlib
import re
import tempfile
from collections.abc import Iterator

import jax

from benchmarks.train_step import experiments, stepper
from hybridlm.config.experiment import Experiment
from hybridlm.config.storage import override
from hybridlm.models import decoder, size
from hybridlm.training.work import peak_flops

PRODUCTS, ATTENTION, REST = "products of layers and head", "attention", "the rest"
PARTS = {
    ATTENTION: r"cudnn|fmha|flash|mosaic|attention",
    PRODUCTS: r"nvjet|gemm|cutlass|cublas",
    "copies": r"copy|transpose|memcpy|concatenate",
}
"""Part -> what its kernels are called; the first that fits takes a kernel."""
MEMORY = 3.35e12
"""Bytes a second of an H100's memory, from its data sheet."""
STEPS = 5


def kernels(directory: str) -> Iterator[tuple[str, float]]:
    """(kernel, seconds) of everything that ran on a GPU."""
    for file in pathlib.Path(directory).rglob("*.xplane.pb"):
        for plane in jax.profiler.ProfileData.from_file(str(file)).planes:
            lines = plane.lines if plane.name.startswith("/device:GPU") else ()
            for line in lines:
                if line.name.startswith("Stream"):
                    yield from ((event.name, event.duration_ns / 1e9) for event in line.events)


def part_of(kernel: str) -> str:
    """Which part a kernel belongs to."""
    return next((part for part, pattern in PARTS.items() if re.search(pattern, kernel, re.IGNORECASE)), REST)


def least(experiment: Experiment, vocab_size: int, peak: float) -> dict[str, float]:
    """Seconds that the parts must take at the peaks of the card."""
    model, tokens = experiment.model, experiment.training.batch_rows * experiment.data.row_length
    rows, parameters = model.padded_vocab(vocab_size), size.count(decoder.shapes(model, vocab_size))
    layers = parameters - rows * model.width * (1 if model.tied_head else 2)
    visible = experiment.data.row_length / 2
    return {
        ATTENTION: 12 * model.layers * model.heads * model.key_width * visible * tokens / peak,
        PRODUCTS: 6 * (layers + rows * model.width) * tokens / peak,
        REST: 28 * parameters / MEMORY,
    }


def show(name: str, experiment: Experiment) -> None:
    """Profiles a few steps and prints the table."""
    take, _ = stepper(experiment)
    take(3)
    with tempfile.TemporaryDirectory() as directory:
        with jax.profiler.trace(directory):
            take(STEPS)
        found = list(kernels(directory))
    spent, longest = collections.Counter(), collections.defaultdict(collections.Counter)
    for kernel, seconds in found:
        spent[part_of(kernel)] += seconds / STEPS
        longest[part_of(kernel)][kernel[:90]] += seconds / STEPS
    floor = least(experiment, experiment.data.vocab_size, peak_flops() or float("inf"))
    total = sum(spent.values())
    print(f"\n{name}: {total * 1e3:.2f} ms of kernels a step")
    for part, seconds in spent.most_common():
        bound = f"least {floor[part] * 1e3:7.2f} ms" if part in floor else ""
        print(f"  {part:28} {seconds * 1e3:8.2f} ms {seconds / total:6.1%}  {bound}")
        for kernel, spent_here in longest[part].most_common(6):
            print(f"    {spent_here * 1e3:7.3f} ms  {kernel}")


def main() -> None:
    """Prints one table per objective."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="125M")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--chunk", type=int, default=8192, help="tokens whose logits exist at once")
    parser.add_argument("--only", default="ar", help="which of the objectives of benchmarks.train_step")
    flags = parser.parse_args()
    found = experiments(flags.preset, flags.rows, flags.length)
    show(flags.only, override(found[flags.only], {"training.head_chunk": flags.chunk}))


if __name__ == "__main__":
    main()
