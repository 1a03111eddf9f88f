"""What category metrics cost: a training step with and without them, in one run, alternating.

    python -m benchmarks.train_step                       124M parameters, 32 rows of 1024, bfloat16, one accelerator
    python -m benchmarks.train_step --only=packed         attention within documents; --only=block: block diffusion
    python -m benchmarks.train_step --preset=quickstart   the quickstart's mixture on a CPU
    python -m benchmarks.train_step --preset=hybrids      families of experiments/hybrids; --backend=dense for its price

Prints median and quartiles of the step time of both, their ratio pair by pair, tokens per second and MFU (attention
counted by the mask's density, the head for targets alone). Tokens follow a Zipf law: speed does not depend on the text.
"""

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable

import jax
import numpy as np

from hybridlm.config.experiment import Experiment
from hybridlm.config.objective import autoregressive, block_diffusion, masked_diffusion, part_names, prefix_lm
from hybridlm.config.presets import preset
from hybridlm.config.storage import override
from hybridlm.config.training import TrainingConfig
from hybridlm.evaluation import task as tasks
from hybridlm.training import optimizers
from hybridlm.training import state as states
from hybridlm.training import step as steps
from hybridlm.training.work import mean_visible, peak_flops, step_flops

WORDS = (
    b" the",
    b" of",
    b"def",
    b"(",
    b")",
    b" 12",
    b"\n",
    b"    ",
    b".",
    b",",
    b"ing",
    b" select",
    b"x",
    b"-",
    b"'",
    b"0",
)
VOCABULARY = 50_257
"""Ids of GPT-2's tokenizer, whatever the preset."""
SPECIAL = {"pad": 0, "bos": 1, "eos": 2, "mask": 3}


def experiments(name: str, rows: int, length: int) -> dict[str, Experiment]:
    """What is timed, by name."""
    mixture = {
        "ar": autoregressive(ratio=0.3),
        "prefix": prefix_lm(0.0, 0.8, ratio=0.1),
        "block": block_diffusion(16, ratio=0.3),
        "masked": masked_diffusion(ratio=0.3),
    }
    base = Experiment(name=name, training=TrainingConfig(steps=1000, batch_rows=rows))
    if name == "quickstart":
        from configs.quickstart import get_config

        return {"mixture": get_config()}
    if name == "hybrids":
        from experiments.hybrids.families import FAMILIES
        from experiments.hybrids.shape import shape

        base = shape(corpus="", prepared="")
        return {family: dataclasses.replace(base, objectives=FAMILIES[family][0]) for family in ("ar", "shared")}
    model = preset(name, dtype="bfloat16", vocab_multiple=128)
    base = override(base, {"data.row_length": length, "data.vocab_size": VOCABULARY})
    base = dataclasses.replace(base, model=model)
    timed = {
        "ar": {"ar": autoregressive(across_documents=True)},
        "packed": {"ar": autoregressive()},
        "block": {"block": block_diffusion(16)},
        "mixture": mixture,
    }
    return {timed_as: dataclasses.replace(base, objectives=objectives) for timed_as, objectives in timed.items()}


def batch_of(experiment: Experiment, documents: int = 2) -> dict[str, np.ndarray]:
    """Packed rows of so many documents each, with the columns that label families read."""
    random = np.random.default_rng(0)
    rows, length, size = experiment.training.batch_rows, experiment.data.row_length, experiment.data.vocab_size
    document, position = np.divmod(np.arange(length), -(-length // documents))
    tokens = np.minimum(random.zipf(1.2, (rows, length)), size - 1)
    columns = {
        "tokens": np.where(tokens < len(SPECIAL), len(SPECIAL), tokens),
        "segment_ids": 1 + document + np.zeros((rows, 1), int),
        "positions": position + np.zeros((rows, 1), int),
        "word_band": random.integers(0, 6, (rows, length)),
        "language": random.integers(0, 3, (rows, 1)) + np.zeros((rows, length), int),
    }
    return {name: column.astype(np.int32) for name, column in columns.items()}


@dataclasses.dataclass(frozen=True)
class Timed:
    """A compiled step: `take(n)` takes n steps and waits for them; its operations by count, and its HLO as text."""

    take: Callable[[int], None]
    flops: float
    program: str


def stepper(experiment: Experiment, documents: int = 2, **options) -> Timed:
    """The step of an experiment on rows of so many documents, compiled with these options of XLA."""
    size = experiment.data.vocab_size
    counts = (1e9 / np.arange(1, size + 1)).astype(np.int64)
    words = [WORDS[n % len(WORDS)] + str(n).encode() * (n % 3 == 0) for n in range(size)]
    task = tasks.make(experiment, words, counts, SPECIAL, ("english", "python", "sql"))
    optimizer = optimizers.make(experiment.optimizer, experiment.training.steps)
    batch, tables = jax.device_put((batch_of(experiment, documents), task.tables))
    inputs = jax.jit(lambda b: steps.draw(experiment, task, b, jax.random.key(0)))(batch)
    parts, labels = len(part_names(experiment.objectives)), steps.label_count(experiment, task)
    start = jax.jit(lambda: states.start(tasks.init(task, jax.random.key(0)), optimizer, parts, labels))
    box = [start()]
    step = jax.jit(steps.make(experiment, task, optimizer), donate_argnums=0).lower(box[0], batch, tables)
    step = step.compile(compiler_options=options)

    def take(times: int) -> None:
        for _ in range(times):
            box[0] = step(box[0], batch, tables)
        jax.block_until_ready(box[0])

    flops = step_flops(experiment.model, task.vocab_size, inputs, mean_visible(inputs))
    return Timed(take, flops, step.as_text())


def compare(name: str, experiment: Experiment, documents: int, pairs: int, burst: int) -> None:
    """Times bursts of steps with and without categories in turn."""
    takes = {}
    for label, categories in (("with", True), ("without", False)):
        timed = stepper(override(experiment, {"training.categories": categories}), documents)
        takes[label] = timed.take
        timed.take(3)
    seconds = {label: [] for label in takes}
    for pair in range(pairs):
        # the order alternates, so that a drift of the machine's speed touches both alike
        for label in sorted(takes, reverse=bool(pair % 2)):
            start = time.perf_counter()
            takes[label](burst)
            seconds[label].append((time.perf_counter() - start) / burst)
    tokens = experiment.training.batch_rows * experiment.data.row_length
    for label, values in seconds.items():
        low, middle, high = np.percentile(values, (25, 50, 75)) * 1e3
        peak = peak_flops()
        mfu = f", MFU {timed.flops / (middle / 1e3) / peak:.3f}" if peak else ""
        print(f"{name:8} {label:8} {middle:8.2f} ms ({low:.2f}-{high:.2f}), {tokens / middle * 1e3:,.0f} tokens/s{mfu}")
    ratios = [a / b for a, b in zip(seconds["with"], seconds["without"], strict=True)]
    low, high = np.percentile(ratios, (25, 75))
    print(
        f"{name:8} ratio    {statistics.median(ratios):8.4f} ({low:.4f}-{high:.4f}) over {pairs} pairs of {burst} steps"
    )


def main() -> None:
    """Prints one comparison per objective."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="125M")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--documents", type=int, default=2, help="of every row")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--burst", type=int, default=10)
    parser.add_argument("--chunk", type=int, default=8192, help="tokens the head takes at once")
    parser.add_argument("--only", default="", help="time one of the experiments alone")
    parser.add_argument("--backend", default="auto", help="of attention: auto, cudnn, mosaic or dense")
    flags = parser.parse_args()
    print(f"{jax.device_count()} x {jax.devices()[0].device_kind}, jax {jax.__version__}, preset {flags.preset}")
    for name, experiment in experiments(flags.preset, flags.rows, flags.length).items():
        if flags.only in ("", name):
            changes = {"training.head_chunk": flags.chunk, "model.attention_backend": flags.backend}
            compare(name, override(experiment, changes), flags.documents, flags.pairs, flags.burst)


if __name__ == "__main__":
    main()
