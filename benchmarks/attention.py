"""Attention under many masks: our kernels, PyTorch's FlexAttention (where torch is installed) and cuDNN, on one GPU.

    python -m benchmarks.attention
    python -m benchmarks.attention --who=mosaic --shape=small --mask=prefix,documents --parts=f+fq+fk+fb

TFLOP/s count visible pairs alone: 4 B H K pairs forward, 3.5 times that forward and backward. Times are medians, with
the middle half in brackets. Block masks are made before, and their making is timed by itself. Every mask is
compiled in a process of its own, all at once; then one after the other is timed, alone on the card.
"""

import argparse
import functools
import importlib.util
import multiprocessing
import os
import time
from collections.abc import Callable

import numpy as np

SHAPES = {
    "small": (16, 2048, 16, 64),
    "middle": (8, 4096, 16, 128),
    "long": (4, 8192, 16, 128),
    "longest": (1, 32768, 16, 128),
}
"""B, T, H, K."""

FACTORS = {"f": 1, "fq": 2.5, "fk": 3, "fb": 3.5}
"""Work of each part against the forward pass alone: with the gradient of queries, with those of keys and values."""

DOCUMENTS = {5: (0.18, 0.32, 0.11, 0.22, 0.17), 8: (0.1, 0.2, 0.05, 0.15, 0.12, 0.18, 0.08, 0.12)}
MASKS = ("prefix", "window", "documents", "block_diffusion", "strided", "window_documents", "causal", "full")
NATIVE = ("window", "causal", "full")
"""What cuDNN takes."""


def segments(T: int, documents: int = 5) -> np.ndarray:
    """Which of the packed documents each token belongs to."""
    ends = np.cumsum([int(share * T) for share in DOCUMENTS[documents][:-1]])
    return 1 + np.searchsorted(ends, np.arange(T), side="right")


def segments_of(name: str, T: int) -> np.ndarray:
    """The documents of a mask's tokens."""
    return segments(T, 8 if "8" in name else 5) if "documents" in name else np.ones(T, int)


def ours(name: str, T: int):
    """(mask, facts) of this project."""
    import jax.numpy as jnp

    from hybridlm import masks
    from hybridlm.facts import tokens

    causal = masks.causal()
    known = {
        "prefix": causal | masks.prefix(T // 4),
        "window": causal & masks.window(1023),
        "documents": causal & masks.same_segment(),
        "8_documents": causal & masks.same_segment(),
        "block_diffusion": masks.block_diffusion(),
        "strided": causal & masks.strided(4),
        "window_documents": causal & masks.window(1023) & masks.same_segment(),
        "causal": causal,
        "full": masks.bidirectional(),
    }
    if name == "block_diffusion":
        index = jnp.tile(jnp.arange(T // 2, dtype=jnp.int32), 2)[None]
        stream = jnp.repeat(jnp.arange(2, dtype=jnp.int32), T // 2)[None]
        facts = tokens.from_columns(jnp.ones_like(index), index, index_BT=index, block_BT=index // 32, stream_BT=stream)
    else:
        facts = tokens.from_columns(segments_of(name, T)[None], jnp.arange(T, dtype=jnp.int32)[None])
    return known[name], facts


def flex(name: str, T: int):
    """The same mask as a function of FlexAttention."""
    import torch

    document = torch.as_tensor(segments_of(name, T), device="cuda")
    half = T // 2

    def causal(b, h, q, k):
        return q >= k

    def window(b, h, q, k):
        return (q >= k) & (q - k <= 1023)

    def documents(b, h, q, k):
        return (q >= k) & (document[q] == document[k])

    def block_diffusion(b, h, q, k):
        noisy_q, noisy_k = q >= half, k >= half
        block_q, block_k = (q % half) // 32, (k % half) // 32
        within = (block_q == block_k) & (noisy_q == noisy_k)
        return within | ((block_q > block_k) & ~noisy_k & noisy_q) | ((block_q >= block_k) & ~noisy_k & ~noisy_q)

    return {
        "prefix": lambda b, h, q, k: (q >= k) | (k < T // 4),
        "window": window,
        "documents": documents,
        "8_documents": documents,
        "block_diffusion": block_diffusion,
        "strided": lambda b, h, q, k: (q >= k) & ((q - k) % 4 == 0),
        "window_documents": lambda b, h, q, k: window(b, h, q, k) & (document[q] == document[k]),
        "causal": causal,
        "full": lambda b, h, q, k: q >= 0,
    }[name]


@functools.cache
def visible(name: str, T: int) -> int:
    """How many pairs are visible."""
    index, half = np.arange(T), T // 2
    if name == "block_diffusion":
        block = np.arange(half) // 32
        return int(32 * half + (32 * block).sum() + (32 * (block + 1)).sum())
    first = np.searchsorted(segments_of(name, T), segments_of(name, T))
    if "window" in name:
        first = np.maximum(first, index - 1023)
    counts = {"full": np.full(T, T), "prefix": np.maximum(index + 1, T // 4), "strided": index // 4 + 1}
    return int(counts.get(name, index + 1 - first).sum())


def functions_of_flex(name: str, shape: tuple[int, int, int, int]):
    """Functions to call, by part, and how to wait for them."""
    import torch
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    torch._dynamo.config.recompile_limit = 64  # a kernel for each shape
    B, T, H, K = shape
    make = functools.partial(
        torch.compile(create_block_mask, dynamic=False), flex(name, T), None, None, T, T, device="cuda"
    )
    block_mask = make()
    attend = torch.compile(flex_attention, dynamic=False)
    q, k, v, dout = (torch.randn(B, H, T, K, device="cuda", dtype=torch.bfloat16) for _ in range(4))
    for array in (q, k, v):
        array.requires_grad_()

    def forward():
        with torch.no_grad():
            return attend(q, k, v, block_mask=block_mask)

    def both():
        return torch.autograd.grad(attend(q, k, v, block_mask=block_mask), (q, k, v), dout)

    return {"f": forward, "fb": both, "map": make}, lambda _: torch.cuda.synchronize()


def functions_of_jax(who: str, cut: str, name: str, shape: tuple[int, int, int, int]):
    """As `functions_of_flex`."""
    import jax
    import jax.numpy as jnp

    B, T, H, K = shape
    mask, facts = ours(name, T)
    prepare, attend = backend(who, cut, mask, K)
    make = jax.jit(prepare)
    batch = make(facts)
    keys = jax.random.split(jax.random.key(0), 4)
    q, k, v, dout = (jax.random.normal(key, (B, T, H, K), jnp.bfloat16) for key in keys)

    def some(pick):
        """Computes what is picked of out, dq, dk and dv; the compiler drops a kernel whose result nobody takes."""

        @jax.jit
        def run(batch, q, k, v, dout):
            out, pull = jax.vjp(functools.partial(attend, batch), q, k, v)
            return pick((out, *pull(dout)))

        return lambda: run(batch, q, k, v, dout)

    parts = {"f": some(lambda all: all[:1]), "fq": some(lambda all: all[:2]), "fk": some(lambda all: all[2:])}
    return {**parts, "fb": some(lambda all: all), "map": lambda: make(facts)}, jax.block_until_ready


def backend(who: str, cut: str, mask, K: int):
    """(facts -> what is prepared, attend(prepared, q, k, v))."""
    import jax.numpy as jnp

    from hybridlm import attention
    from hybridlm.attention.mosaic import call
    from hybridlm.attention.mosaic.tiles import Tiles

    if who == "mosaic":
        tiles = call.Cut(*(Tiles(*map(int, part.split(":"))) for part in cut.split(","))) if cut else call.CUT
        static = {}

        def prepare(facts):
            prepared = call.prepare(mask, facts, None, tiles)
            static["prepared"] = prepared._replace(batch=None)
            return prepared.batch

        return prepare, lambda batch, *qkv: call.attend(static["prepared"]._replace(batch=batch), *qkv, K**-0.5)[0]

    def attend(facts, *qkv):
        return attention.plan(mask, facts, dtype=jnp.bfloat16, head_width=K, backend=who).attend(*qkv)

    return lambda facts: facts, attend


def milliseconds(function: Callable, wait: Callable, runs: int = 12, burst: int = 5) -> tuple[float, float, float]:
    """Quartiles of the time of a call, in bursts."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        for _ in range(burst):
            out = function()
        wait(out)
        times.append(1e3 * (time.perf_counter() - start) / burst)
    return tuple(np.percentile(times, (25, 50, 75)))


def work(pipe, who: str, cut: str, name: str, shapes: list[str], parts: list[str]) -> None:
    """A process: compiles and runs all once, says so, and times them when it is told to."""
    os.environ.update(XLA_PYTHON_CLIENT_PREALLOCATE="false", TORCHINDUCTOR_COMPILE_THREADS="2")
    make = functools.partial(functions_of_jax, who, cut) if who != "flex" else functions_of_flex
    ready, failures = [], []
    for shape in shapes:
        try:
            functions, wait = make(name, SHAPES[shape])
            wanted = [part for part in parts if part in functions and (part != "map" or shape == "long")]
            for part in wanted:
                wait(functions[part]())
                ready.append((shape, part, functions[part], wait))
        except Exception as error:  # a failing kernel is a line of the table
            failures.append(f"{who} {name} {shape}: {type(error).__name__}: {str(error)[:300]}")
    pipe.send(failures)
    pipe.recv()
    pipe.send({(shape, part): milliseconds(function, wait) for shape, part, function, wait in ready})


def receive(pipe, seconds: float):
    """What the process says in time, or None."""
    try:
        return pipe.recv() if pipe.poll(max(0, seconds)) else None
    except EOFError:
        return None


def measure(jobs: list[tuple], seconds: float = 100) -> dict[tuple, tuple]:
    """Times by (who, mask, shape, part), where each process is given so long to be ready; one that hangs is ended."""
    spawn, workers, found = multiprocessing.get_context("spawn"), [], {}
    for job in jobs:
        pipe, end = spawn.Pipe()
        process = spawn.Process(target=work, args=(end, *job), daemon=True)
        process.start()
        end.close()
        workers.append((job, pipe, process))
    deadline = time.monotonic() + seconds
    failures = [receive(pipe, deadline - time.monotonic()) for _, pipe, _ in workers]
    for ((who, cut, name, *_), pipe, process), failed in zip(workers, failures):
        times = {}
        if failed is not None:
            print(*failed, sep="\n", end="\n" * bool(failed))
            pipe.send("go")
            times = receive(pipe, 20) or {}
        process.kill()
        for (shape, part), quartiles in times.items():
            found[who + cut, name, shape, part] = quartiles
            print(f"{who + cut:8s} {name:16s} {shape:7s} {part:3s} {cell(name, shape, part, quartiles)}", flush=True)
        if not times:
            print(f"{who + cut:8s} {name}: no times", flush=True)
    return found


def speed(name: str, shape: str, part: str, quartiles: tuple) -> float:
    """TFLOP/s at the median."""
    B, T, H, K = SHAPES[shape]
    return 4e-9 * B * H * K * visible(name, T) * FACTORS[part] / quartiles[1]


def cell(name: str, shape: str, part: str, quartiles: tuple | None) -> str:
    """TFLOP/s, and the middle half of the times."""
    if quartiles is None:
        return ""
    tflops = f"{speed(name, shape, part, quartiles):.0f} " if part in FACTORS else f"{quartiles[1]:.3f} ms "
    return f"{tflops}[{quartiles[0]:.3f}, {quartiles[2]:.3f}]"


def table(found: dict[tuple, tuple]) -> None:
    """The times of our kernels beside the others', and how many times faster than FlexAttention."""
    for part, title in ("f", "forward"), ("fb", "forward and backward"), ("map", "block map, ms"):
        print(f"\n| {title} | shape | ours | FlexAttention | ratio | cuDNN |\n|---|---|---|---|---|---|")
        for shape in SHAPES:
            for name in dict.fromkeys(key[1] for key in found if key[2:] == (shape, part)):
                one, other, native = (found.get((who, name, shape, part)) for who in ("mosaic", "flex", "cudnn"))
                ratio = f"{other[1] / one[1]:.2f}" if one and other else ""
                cells = [cell(name, shape, part, times) for times in (one, other, native)]
                print(f"| {name} | {shape} | {cells[0]} | {cells[1]} | {ratio} | {cells[2]} |")


def main() -> None:
    """Compiles, times and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--who", default="mosaic,flex,cudnn")
    parser.add_argument("--mask", default=",".join(MASKS))
    parser.add_argument("--shape", default="small,middle,long,longest", help="longest is timed with 8 documents alone")
    parser.add_argument("--cut", default="", help="tiles of our three kernels, columns:stages each; several with /")
    parser.add_argument("--parts", default="f+fb+map")
    flags = parser.parse_args()
    shapes, parts, found = flags.shape.split(","), flags.parts.split("+"), {}
    for who in flags.who.split(","):
        if who == "flex" and importlib.util.find_spec("torch") is None:
            print("torch is not installed: FlexAttention is left out")
            continue
        jobs, usual = [], [shape for shape in shapes if shape != "longest"]
        for cut in flags.cut.split("/") if who == "mosaic" else [""]:
            names = [name for name in flags.mask.split(",") if who != "cudnn" or name in NATIVE]
            jobs += [(who, cut, name, usual, parts) for name in names if usual]
            if "longest" in shapes and who != "cudnn":
                jobs.append((who, cut, "8_documents", ["longest"], parts))
        found |= measure(jobs)
    table(found)


if __name__ == "__main__":
    main()
