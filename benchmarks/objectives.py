"""What a step of every objective costs beside a step of autoregression, per useful operation, in one run.

    python -m benchmarks.objectives                       124M parameters, 32 rows of 1024, bfloat16, one accelerator
    python -m benchmarks.objectives --preset=4M --rows=8 --length=32 --bursts=2          a dry run on a CPU

Useful is what the objective asks for: the layers for every position of every stream, attention where the mask lets a
token see, the head at targets. Steps compile at once and are timed in turn, so that a drift of the machine's speed
touches all alike. Prints milliseconds (median and quartiles), useful TFLOP and TFLOP/s of a step, the time of a useful
operation beside that of `ar`, and what attention takes and why. All read the same packed rows; `ar, across documents`
lets attention cross between documents, as the fused causal kernel does.
"""

import argparse
import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import numpy as np

from benchmarks.train_step import SPECIAL, VOCABULARY, Timed, batch_of, stepper
from hybridlm import attention
from hybridlm.config.experiment import Experiment
from hybridlm.config.objective import (
    Objective,
    autoregressive,
    block_diffusion,
    eso_lm,
    gpt_bert,
    masked_diffusion,
    masked_lm,
    prefix_lm,
    shared_ar_diffusion,
    span_corruption,
    uniform_diffusion,
    windowed_blocks,
)
from hybridlm.config.presets import PRESETS, preset
from hybridlm.config.storage import override
from hybridlm.config.training import TrainingConfig
from hybridlm.objectives import mixture
from hybridlm.objectives.text import Ids, from_batch
from hybridlm.training.work import peak_flops

ONE: dict[str, Objective] = {
    "ar": autoregressive(),
    "ar, across documents": autoregressive(across_documents=True),
    "prefix-LM": prefix_lm(0.0, 0.9),
    "span corruption": span_corruption(),
    "masked LM": masked_lm(),
    "windowed blocks of 16": windowed_blocks(16, 64),
    "masked diffusion": masked_diffusion(),
    "uniform diffusion": uniform_diffusion(),
    "block diffusion 4": block_diffusion(4),
    "block diffusion 16": block_diffusion(16),
    "Eso-LM 0.5": eso_lm(0.5),
    "shared AR + diffusion 4": shared_ar_diffusion(4),
}
SEVERAL = {
    "GPT-BERT": gpt_bert(),
    "AR + masked-LM head": {"ar": autoregressive(), "mlm": masked_lm(predicts="next")},
    "AR + block diffusion 16": {"ar": autoregressive(), "block": block_diffusion(16)},
}
OBJECTIVES = {name: {"main": objective} for name, objective in ONE.items()} | SEVERAL


class Ready(NamedTuple):
    """A compiled step, and what its attention takes."""

    step: Timed
    explained: attention.Explanation


def experiment_of(name: str, rows: int, length: int, chunk: int) -> Experiment:
    """All but the objectives; categories, which cost every objective alike, are off."""
    training = TrainingConfig(steps=1000, batch_rows=rows, head_chunk=chunk, categories=False)
    base = Experiment(name=name, model=preset(name, dtype="bfloat16", vocab_multiple=128), training=training)
    return override(base, {"data.row_length": length, "data.vocab_size": VOCABULARY})


def ready(experiment: Experiment) -> Ready:
    """Compiles, takes three steps and asks which kernel attends."""
    step = stepper(experiment)
    step.take(3)
    ids = Ids(mask=SPECIAL["mask"], never=(SPECIAL["pad"], SPECIAL["bos"], SPECIAL["mask"]), size=VOCABULARY)
    text = from_batch(jax.device_put(batch_of(experiment)))
    inputs = jax.jit(lambda: mixture.build(experiment.objectives, text, ids, jax.random.key(0)))()
    about = {"dtype": experiment.model.dtype, "head_width": experiment.model.key_width}
    return Ready(step, attention.explain(inputs.mask, inputs.facts, **about))


def timed(steps: dict[str, Timed], bursts: int, burst: int) -> dict[str, np.ndarray]:
    """Seconds of a step in each of so many bursts, all objectives in turn, there and back."""
    found = {name: [] for name in steps}
    for number in range(bursts):
        for name in list(steps)[:: -1 if number % 2 else 1]:
            begin = time.perf_counter()
            steps[name].take(burst)
            found[name].append((time.perf_counter() - begin) / burst)
    return {name: np.array(seconds) for name, seconds in found.items()}


def line(name: str, seconds: np.ndarray, one: Ready, base: np.ndarray) -> str:
    """Of one objective; `base` is seconds per useful operation of autoregression, burst by burst."""
    low, middle, high = np.percentile(seconds, (25, 50, 75))
    ratio_low, ratio, ratio_high = np.percentile(seconds / one.step.flops / base, (25, 50, 75))
    flops, peak = one.step.flops, peak_flops()
    mfu = f"  MFU {flops / middle / peak:.3f}" if peak else ""
    return (
        f"{name:24}{middle * 1e3:9.2f} ms ({low * 1e3:.2f}-{high * 1e3:.2f})  {flops / 1e12:7.3f} TFLOP  "
        f"{flops / middle / 1e12:6.1f} TFLOP/s{mfu}  {ratio:.3f} ({ratio_low:.3f}-{ratio_high:.3f}) of ar\n"
        f"{'':24}  {one.explained}"
    )


def main() -> None:
    """Prints two lines per objective."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="125M", choices=PRESETS)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--chunk", type=int, default=8192, help="tokens whose logits exist at once")
    parser.add_argument("--bursts", type=int, default=7)
    parser.add_argument("--burst", type=int, default=3, help="steps of a burst")
    parser.add_argument("--only", nargs="+", default=[], help="objectives whose name begins so, beside ar")
    flags = parser.parse_args()
    begin = time.perf_counter()
    base = experiment_of(flags.preset, flags.rows, flags.length, flags.chunk)
    wanted = ("ar", *flags.only)
    asked = {
        name: dataclasses.replace(base, objectives=objectives)
        for name, objectives in OBJECTIVES.items()
        if not flags.only or name.startswith(wanted)
    }
    with ThreadPoolExecutor() as pool:
        found = dict(zip(asked, pool.map(ready, asked.values()), strict=True))
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}, {flags.preset}, {flags.rows} rows of {flags.length}")
    compiled = time.perf_counter() - begin
    print(f"compiled after {compiled:.0f} s; {flags.bursts} bursts of {flags.burst} steps", flush=True)
    seconds = timed({name: one.step for name, one in found.items()}, flags.bursts, flags.burst)
    for name, one in found.items():
        print(line(name, seconds[name], one, seconds["ar"] / found["ar"].step.flops))


if __name__ == "__main__":
    main()
