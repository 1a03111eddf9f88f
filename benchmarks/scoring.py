"""What scoring every token of a text costs, beside the least that any evaluation must do.

    python -m benchmarks.scoring                  SmolLM2-135M's shape, random weights, bfloat16, one accelerator
    python -m benchmarks.scoring --sweep          the same for several sizes of chunks and blocks
    python -m benchmarks.scoring --preset=tiny    a dry run on a CPU

The least is the forward pass and the head's product reduced to log-sum-exp. Against it, in alternating bursts: all
token scores; the same with the mass of every static class; and the same with every metric summed by split group and
category on device. Prints medians and quartiles, tokens per second, ratios pair by pair, and peak memory. Tokens follow
a Zipf law: speed does not depend on the text.
"""

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.train_step import SPECIAL, WORDS, batch_of
from hybridlm.config.experiment import Experiment
from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import autoregressive
from hybridlm.config.storage import override
from hybridlm.config.training import TrainingConfig
from hybridlm.evaluation import task as tasks
from hybridlm.evaluation.task import Task
from hybridlm.facts.head import logits
from hybridlm.scoring import accumulator
from hybridlm.scoring.layout import Layout, lay_out
from hybridlm.scoring.sums import cluster_sums
from hybridlm.scoring.token_scores import METRICS, metrics, token_scores
from hybridlm.training import step as steps

SHAPES = {
    "SmolLM2-135M": (
        ModelConfig(width=576, layers=30, heads=9, kv_heads=3, ffn=1536, rotary_base=100_000.0, dtype="bfloat16"),
        49_152,
    ),
    "tiny": (ModelConfig(width=64, layers=2, heads=4, kv_heads=2, ffn=128), 1_000),
}
GROUPS = 64
"""Split groups that the documents belong to."""


def task_of(name: str, rows: int, length: int) -> tuple[Experiment, Task]:
    """A run of this shape that reads left to right."""
    model, size = SHAPES[name]
    training = TrainingConfig(steps=1000, batch_rows=rows)
    experiment = Experiment(name=name, training=training, objectives={"ar": autoregressive(across_documents=True)})
    experiment = override(experiment, {"data.row_length": length, "data.vocab_size": size})
    experiment = dataclasses.replace(experiment, model=model)
    counts = (1e9 / np.arange(1, size + 1)).astype(np.int64)
    words = [WORDS[n % len(WORDS)] + str(n).encode() * (n % 3 == 0) for n in range(size)]
    return experiment, tasks.make(experiment, words, counts, SPECIAL, ("english", "python", "sql"))


def layout_of(task: Task) -> Layout:
    """Every family that reads the token alone, as classes."""
    by_token_VF = np.asarray(task.tables.by_token_VF, np.int32)
    return lay_out(len(by_token_VF), by_token_VF + np.array(task.tables.offsets[: by_token_VF.shape[1]]))


def contenders(experiment: Experiment, task: Task, layout: Layout, chunk: int, block: int) -> dict[str, Callable]:
    """Jitted functions of (sums, params, batch, tables, layout), by name; each returns the new sums, and its values."""
    categories = len(tasks.label_names(task.tables))
    plain = lay_out(len(layout.classes_VF))

    def hidden(params, batch):
        inputs = steps.draw(experiment, task, batch, jax.random.key(0))
        return inputs, tasks.hidden(task, params, inputs), tasks.head(task, params)

    def score(inputs, h_BTD, head, layout):
        return token_scores(h_BTD, head, inputs.targets_BT, layout=layout, chunk=chunk, block=block)

    def least(sums, params, batch, tables, layout):
        _, h_BTD, head = hidden(params, batch)
        h_ND = h_BTD.reshape(-1, h_BTD.shape[-1])
        return sums, jax.lax.map(lambda h_D: jax.nn.logsumexp(logits(head, h_D)), h_ND, batch_size=chunk)

    def scores(sums, params, batch, tables, layout):
        return sums, score(*hidden(params, batch), plain)

    def with_classes(sums, params, batch, tables, layout):
        return sums, score(*hidden(params, batch), layout)

    def with_sums(sums, params, batch, tables, layout):
        inputs, h_BTD, head = hidden(params, batch)
        scored = score(inputs, h_BTD, head, layout)
        labels_MBT = tasks.labels(tables, inputs.targets_BT, tasks.target_columns(inputs, batch, tables.columns))
        document_BT = inputs.facts.segment + jnp.arange(len(inputs.targets_BT))[:, None]
        is_counted_BT, size = inputs.target_index_BT >= 0, {"clusters": GROUPS, "categories": categories}
        new = cluster_sums(labels_MBT, document_BT % GROUPS, metrics(scored), is_counted_BT, **size)
        return accumulator.add(sums, new), scored

    found = {"least": least, "scores": scores, "and classes": with_classes, "and sums": with_sums}
    return {name: jax.jit(function, donate_argnums=0) for name, function in found.items()}


def runner(function: Callable, categories: int, arguments: tuple) -> Callable[[int], None]:
    """A function that runs so many batches and waits for the last."""
    box = [accumulator.empty(GROUPS, categories, (len(METRICS),))]

    def run(times: int) -> None:
        for _ in range(times):
            box[0], values = function(box[0], *arguments)
        jax.block_until_ready((box[0], values))

    return run


def compare(name: str, rows: int, length: int, chunk: int, block: int, pairs: int, burst: int) -> None:
    """Times bursts of all contenders in turn and prints them against the least."""
    experiment, task = task_of(name, rows, length)
    layout = layout_of(task)
    categories = len(tasks.label_names(task.tables))
    params = jax.jit(lambda: jax.tree.map(lambda x: x.astype(task.model.dtype), tasks.init(task, jax.random.key(0))))()
    arguments = jax.device_put((params, batch_of(experiment), task.tables, layout))
    functions = contenders(experiment, task, layout, chunk, block)
    runs = {label: runner(function, categories, arguments) for label, function in functions.items()}
    for run in runs.values():
        run(2)
    seconds = {label: [] for label in runs}
    for pair in range(pairs):
        # the order alternates, so that a drift of the machine's speed touches all alike
        for label in sorted(runs, reverse=bool(pair % 2)):
            start = time.perf_counter()
            runs[label](burst)
            seconds[label].append((time.perf_counter() - start) / burst)
    print(
        f"{rows} rows of {length}, chunks of {chunk} x {block}; {layout.count} classes in "
        f"{layout.classes_VF.shape[1]} families, {categories} labels, {len(METRICS)} metrics"
    )
    for label, values in seconds.items():
        low, middle, high = np.percentile(values, (25, 50, 75)) * 1e3
        ratio = statistics.median(a / b for a, b in zip(seconds["least"], values, strict=True))
        print(
            f"  {label:12} {middle:9.2f} ms ({low:.2f}-{high:.2f}), {rows * length / middle * 1e3:>11,.0f} tokens/s, "
            f"{ratio:.3f} of the least's speed"
        )


def main() -> None:
    """Prints one table per batch size, and per size of chunks and blocks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="SmolLM2-135M", choices=SHAPES)
    parser.add_argument("--rows", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--chunk", type=int, default=16_384, help="tokens of a chunk")
    parser.add_argument("--block", type=int, default=8192, help="vocabulary ids of a block")
    parser.add_argument("--sweep", action="store_true", help="several sizes of both")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--burst", type=int, default=10)
    flags = parser.parse_args()
    print(f"{jax.device_count()} x {jax.devices()[0].device_kind}, jax {jax.__version__}, {flags.preset}")
    sizes = [(flags.chunk, flags.block)]
    if flags.sweep:
        sizes = [(1024, 4096), (4096, 8192), (8192, 8192), (8192, 24_576), (16_384, 4096), (16_384, 8192)]
    for rows in flags.rows:
        for chunk, block in sizes:
            compare(flags.preset, rows, flags.length, chunk, block, flags.pairs, flags.burst)
    stats = jax.devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in stats:
        print(f"peak memory of all of it {stats['peak_bytes_in_use'] / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
