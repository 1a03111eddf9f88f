"""What each way of scoring the tokens of block diffusion costs, per million tokens.

    python -m benchmarks.estimators                                25M parameters, blocks of 4, one accelerator
    python -m benchmarks.estimators --copies 1 3 7                 several numbers of copies beside the clean stream
    python -m benchmarks.estimators --preset=tiny --rows=2 --length=64 --repeats=1           a dry run on a CPU

Prints seconds per million tokens (median over repeats, compiled before), next to autoregression on the same text.
Tokens follow a Zipf law and weights are random: speed depends on neither.
"""

import argparse
import dataclasses
import statistics
import time

import jax
import numpy as np

from benchmarks.train_step import SPECIAL, WORDS, batch_of
from hybridlm.config.evaluation import EvaluationConfig, Reading
from hybridlm.config.experiment import Experiment
from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import autoregressive, block_diffusion
from hybridlm.config.storage import override
from hybridlm.config.training import TrainingConfig
from hybridlm.evaluation import readings
from hybridlm.evaluation import task as tasks
from hybridlm.evaluation.task import Task

SHAPES = {
    "25M": (ModelConfig(width=512, layers=8, heads=8, kv_heads=8, ffn=1408, dtype="bfloat16"), 16_384),
    "tiny": (ModelConfig(width=64, layers=2, heads=4, kv_heads=2, ffn=128), 1_000),
}


def task_of(name: str, rows: int, length: int) -> tuple[Experiment, Task]:
    """A run of this shape."""
    model, size = SHAPES[name]
    experiment = Experiment(name=name, training=TrainingConfig(steps=1000, batch_rows=rows))
    experiment = override(experiment, {"data.row_length": length, "data.vocab_size": size})
    experiment = dataclasses.replace(experiment, model=model)
    counts = (1e9 / np.arange(1, size + 1)).astype(np.int64)
    words = [WORDS[n % len(WORDS)] + str(n).encode() * (n % 3 == 0) for n in range(size)]
    return experiment, tasks.make(experiment, words, counts, SPECIAL, ("english", "python", "sql"))


def asked(block: int, copies: list[int]) -> dict[str, Reading]:
    """What is timed, by name."""
    objective = block_diffusion(block)
    found = {"autoregression": Reading(objective=autoregressive())}
    found["bound, 8 samples"] = Reading(objective=objective)
    for count in copies:
        for estimator in ("chain", "enumeration", "order_mixture"):
            reading = Reading(objective=objective, estimator=estimator, copies=count)
            found[f"{estimator}, {count or 'default'} copies"] = reading
    return found


def seconds(task: Task, reading: Reading, params, batch, repeats: int) -> float:
    """The median time that a batch takes."""
    score = readings.scorer(task, EvaluationConfig(readings={"one": reading}, batch_rows=len(batch["tokens"])))
    jax.block_until_ready(score(params, batch, 0))
    found = []
    for number in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(score(params, batch, number))
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def main() -> None:
    """Prints one line per estimator and number of copies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="25M", choices=SHAPES)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--block", type=int, default=4)
    parser.add_argument("--copies", type=int, nargs="+", default=[0])
    parser.add_argument("--repeats", type=int, default=5)
    flags = parser.parse_args()
    experiment, task = task_of(flags.preset, flags.rows, flags.length)
    params = jax.jit(lambda: jax.tree.map(lambda x: x.astype(task.model.dtype), tasks.init(task, jax.random.key(0))))()
    batch = jax.device_put(batch_of(experiment))
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}, {flags.preset}, {flags.rows} rows of {flags.length}")
    for name, reading in asked(flags.block, flags.copies).items():
        taken = seconds(task, reading, params, batch, flags.repeats)
        per_million = taken * 1e6 / (flags.rows * flags.length)
        print(f"  {name:28} {taken * 1e3:10.1f} ms a batch, {per_million:8.2f} s per million tokens", flush=True)


if __name__ == "__main__":
    main()
