"""Fifteen minutes on a TPU: are the kernels right there, and do steps take what `hybridlm plan` says?

    bash run_tpu.sh benchmarks.tpu_smoke             on a v5e-8, or any slice of v5e, v6e or v5p on one host
    python -m benchmarks.tpu_smoke --dry             anywhere: the same code, kernels interpreted, one small step

Kernels are held against dense attention in float32, steps against the plan's expected time and the compiler's memory.
Please send the table, whatever it says.
"""

import argparse
import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from hybridlm import masks
from hybridlm.attention import dense
from hybridlm.attention.splash import call
from hybridlm.config.data import DataConfig
from hybridlm.config.experiment import Experiment
from hybridlm.config.mesh import MeshConfig
from hybridlm.config.objective import autoregressive, block_diffusion
from hybridlm.config.presets import preset
from hybridlm.config.training import TrainingConfig
from hybridlm.facts import tokens
from hybridlm.planning import chips, plan, workload
from hybridlm.training import optimizers

KINDS = {"TPU v5 lite": "v5e", "TPU v6 lite": "v6e", "TPU v5p": "v5p", "TPU v5": "v5p", "cpu": "cpu"}
SCALE = 0.1
STEPS = 10


@dataclasses.dataclass(frozen=True)
class Check:
    """One line of the table: what was found, and between which bounds it had to lie."""

    name: str
    found: float
    low: float
    high: float

    def __str__(self) -> str:
        verdict = "PASS" if self.low <= self.found <= self.high else "FAIL"
        return f"{verdict}  {self.name:<58}{self.found:10.4g}   in [{self.low:g}, {self.high:g}]"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--dry", action="store_true", help="interpret the kernels and take a small step, on any machine"
    )
    is_dry = parser.parse_args().dry
    kind = jax.devices()[0].device_kind
    print(f"{jax.device_count()} x {kind}, jax {jax.__version__}")
    for check in (*kernels(is_dry), *(line for name in cases(is_dry) for line in step(name, is_dry))):
        print(check, flush=True)


def kernels(is_dry: bool) -> Iterator[Check]:
    """Parity with dense attention for every kind of mask, equal bits in two runs, and no second compilation."""
    length = 256 if is_dry else 2048
    for name, mask in {
        "packed documents": masks.causal() & masks.same_segment() & masks.valid(),
        "window of 256": masks.causal() & masks.window(255),
        "two streams": masks.unified(),
        "a prefix": masks.causal() | masks.prefix(),
        "strided": masks.custom(lambda q, k: (q.index - k.index) % 4 == 0),
    }.items():
        fused = jax.jit(functools.partial(of_kernels, mask, is_dry))
        wanted = jax.jit(functools.partial(of_reference, mask))(facts_of(0, length), *arrays(length))
        found, again = (fused(facts_of(0, length), *arrays(length)) for _ in range(2))
        fused(facts_of(1, length), *arrays(length))
        for part, got, want in zip(("out", "dq", "dk", "dv"), found, wanted, strict=True):
            error = float(jnp.linalg.norm(jnp.float32(got) - want) / jnp.linalg.norm(want))
            yield Check(f"{name}: relative error of {part}", error, 0, 2e-2)
        same = all(bool((a == b).all()) for a, b in zip(found, again, strict=True))
        yield Check(f"{name}: two runs give equal bits", same, 1, 1)
        yield Check(f"{name}: programs for two batches", fused._cache_size(), 1, 1)


def facts_of(seed: int, length: int) -> tokens.TokenFacts:
    """Two rows of packed documents with a prefix each, whose second half is a noisy stream."""
    draws = np.random.default_rng(seed)
    half = length // 2
    segment = np.stack([np.repeat([1, 2, 3, 0], draws.multinomial(half, [0.5, 0.2, 0.2, 0.1])) for _ in range(2)])
    place = np.tile(np.arange(half), (2, 2))
    return tokens.from_columns(
        np.tile(segment, 2),
        place,
        index_BT=place,
        block_BT=place // 32,
        stream_BT=np.repeat([[0, 1]], half, 1).repeat(2, 0),
        extra={"prefix_length": np.broadcast_to(draws.integers(0, half, (2, 1)), (2, length))},
    )


def arrays(length: int) -> list[jax.Array]:
    """Queries, keys and values of eight heads over four, and what comes back for the output."""
    shapes = [(2, length, heads, 128) for heads in (8, 4, 4, 8)]
    return [
        jax.random.normal(key, shape, jnp.bfloat16)
        for key, shape in zip(jax.random.split(jax.random.key(0), 4), shapes)
    ]


def of_kernels(mask: masks.Mask, is_dry: bool, facts: tokens.TokenFacts, *inputs: jax.Array) -> list[jax.Array]:
    """Output and gradients of the kernels."""
    prepared = call.prepare(mask, facts, None)
    return with_gradients(lambda *a: call.attend(prepared, *a, SCALE, interpret=is_dry)[0], *inputs)


def of_reference(mask: masks.Mask, facts: tokens.TokenFacts, *inputs: jax.Array) -> list[jax.Array]:
    """The same in float32."""
    with jax.default_matmul_precision("highest"):
        sees = dense.prepare(mask, facts, None)
        return with_gradients(lambda *a: dense.attend(sees, *a, SCALE), *(jnp.float32(x) for x in inputs))


def with_gradients(attend: Callable, q: jax.Array, k: jax.Array, v: jax.Array, dout: jax.Array) -> list[jax.Array]:
    """Output, and gradients of queries, keys and values."""
    out, pull = jax.vjp(attend, q, k, v)
    return [out, *pull(dout)]


def cases(is_dry: bool) -> dict[str, Experiment]:
    """What is trained for a few steps, by name."""
    if is_dry:
        return {"4M": experiment("4M", 128, 2, autoregressive())}
    return {
        "125M": experiment("125M", 1024, 16, autoregressive()),
        "1.3B": experiment("1.3B", 2048, 1, autoregressive()),
        "1.3B, blocks": experiment("1.3B", 2048, 1, block_diffusion(32)),
    }


def experiment(name: str, length: int, rows: int, objective) -> Experiment:
    """A known shape with so many rows on each device, its parameters divided over all."""
    return Experiment(
        name=name,
        data=DataConfig(vocab_size=32_000, row_length=length),
        model=preset(name, remat="none" if name in ("4M", "125M") else "full"),
        objectives={"only": objective},
        training=TrainingConfig(batch_rows=rows * jax.device_count(), head_chunk=2048, categories=False),
        mesh=MeshConfig(data=1, fsdp=-1),
    )


def step(name: str, is_dry: bool) -> Iterator[Check]:
    """Measured against planned: the time of a step, and the memory it reaches."""
    config = cases(is_dry)[name]
    kind = KINDS[jax.devices()[0].device_kind]
    topology = chips.Topology(kind, chips.CHIPS[kind], (jax.device_count(),))
    planned = plan.of_devices(config, topology, jax.devices())
    seconds = measured(planned.workload)
    yield Check(f"{name}: measured time, ms", 1e3 * seconds, 0, float("inf"))
    if planned.times:
        yield Check(f"{name}: measured over expected time", seconds / planned.times.expected, 0.5, 1.5)
    if stats := jax.devices()[0].memory_stats():
        yield Check(f"{name}: reached over planned memory", stats["peak_bytes_in_use"] / planned.needed, 0.5, 1.1)


def measured(work: workload.Workload) -> float:
    """Seconds of a step, the median of a few."""
    optimizer = optimizers.make(work.experiment.optimizer, work.experiment.training.steps)
    make = functools.partial(workload.new_state, work.experiment, work.task, optimizer)
    state = jax.jit(make, out_shardings=jax.tree.map(lambda x: x.sharding, work.state))()
    draws, shape = np.random.default_rng(0), work.batch["tokens"].shape
    text = {name: np.ones(shape, np.int32) for name in work.batch}
    text |= {
        "tokens": draws.integers(4, work.task.vocab_size, shape),
        "positions": np.tile(np.arange(shape[1]), (shape[0], 1)),
    }
    batch = {name: jax.device_put(np.int32(column), work.batch[name].sharding) for name, column in text.items()}
    times = []
    for _ in range(STEPS):
        start = time.perf_counter()
        state = jax.block_until_ready(work.step(state, batch))
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


if __name__ == "__main__":
    main()
