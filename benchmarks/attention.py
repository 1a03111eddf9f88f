"""Attention under many masks: our kernels, PyTorch's FlexAttention (where torch is installed) and cuDNN, on one GPU.

    python -m benchmarks.attention --shape=16x2048x16x64,1x32768x16x128:8_documents --out=DIR
    python -m benchmarks.attention --who=mosaic --shape=16x2048x16x64 --mask=prefix,documents --cut=A/B
    python -m benchmarks.attention --who= --out=DIR         the tables and the picture of all shapes timed before

A cut is 128:4,128:4:0,128:4:0 for example: columns, slots, and 0 where each tile has a thread block of its own, of the
kernels forward, dq, and dk with dv; a fourth part, 128:2:0, is for all gradients in one pass, instead of the other two.
TFLOP/s count visible pairs alone: 4 B H K pairs forward, 3.5 times that forward and backward. Times are medians, with
the middle half in brackets. Each mask of each backend is compiled in a process of its own, many at once; then one after
the other is timed, alone on the card. A process that fails, or is not ready in time, is named and left out.
"""

import argparse
import importlib.util
import itertools
import json
import multiprocessing.connection
import os
import pathlib
import time
from collections.abc import Callable

import numpy as np

from benchmarks.attention_backends import BACKENDS, OF_TORCH, TAKES
from benchmarks.attention_masks import MASKS, visible

FACTORS = {"f": 1, "fb": 3.5}
"""Operations of each part against the forward pass alone."""
TITLES = {
    "f": "forward, TFLOP/s (ms)",
    "fb": "forward and backward, TFLOP/s (ms)",
    "map": "block map, ms",
    "memory": "most memory, MiB",
}
IN_A_GRAPH = "--xla_gpu_graph_min_graph_size=1"
"""XLA records calls that follow each other in a CUDA graph, but by default none as few as here. Outside of graphs it
clears what cuDNN will write, which takes a twentieth as long as attention itself."""
NAMES = {"mosaic": "ours", "flex": "FlexAttention", "cudnn": "cuDNN in JAX", "sdpa": "cuDNN in PyTorch"}
Found = dict[tuple[str, str, str, str], tuple[float, float, float]]
"""Quartiles in milliseconds by backend, mask, shape and part; of memory, three times the most, in MiB."""


def sizes(shape: str) -> tuple[int, int, int, int]:
    """B, T, H, K."""
    return tuple(map(int, shape.split("x")))


def milliseconds(function: Callable, wait: Callable, runs: int = 15, burst: int = 5) -> tuple[float, float, float]:
    """Quartiles of the time of a call, in bursts, once the card has reached its clock."""
    warm, times = time.perf_counter() + 0.15, []
    while time.perf_counter() < warm:
        wait(function())
    for _ in range(runs):
        start = time.perf_counter()
        for _ in range(burst):
            out = function()
        wait(out)
        times.append(1e3 * (time.perf_counter() - start) / burst)
    return tuple(np.percentile(times, (25, 50, 75)))


def work(pipe, who: str, name: str, shape: str, parts: list[str]) -> None:
    """A process: compiles all, says how long that took or what failed, and times when it is told to."""
    os.environ.update(XLA_PYTHON_CLIENT_PREALLOCATE="false", TORCHINDUCTOR_COMPILE_THREADS="1")
    os.environ["XLA_FLAGS"] = f"{IN_A_GRAPH} {os.environ.get('XLA_FLAGS', '')}"
    backend, _, cut = who.partition(" ")
    start = time.perf_counter()
    try:
        functions, wait, peak = BACKENDS[backend](name, sizes(shape), parts, *([cut] if cut else []))
        pipe.send(time.perf_counter() - start)
        pipe.recv()
        found = {part: milliseconds(function, wait) for part, function in functions.items()}
        pipe.send({**found, "memory": (peak() / 2**20,) * 3})
    except Exception as error:  # a failing kernel is a line of the table
        pipe.send(f"{type(error).__name__}: {str(error)[:300]}")


def receive(pipe, seconds: float, *say: str):
    """What the process says in time, once it is told something, or why it says nothing."""
    try:
        for word in say:
            pipe.send(word)
        return pipe.recv() if pipe.poll(max(0, seconds)) else "not ready in time"
    except (EOFError, OSError):
        return "ended"


def start(job: tuple, parts: list[str]) -> tuple:
    """(pipe, process) of a job."""
    spawn = multiprocessing.get_context("spawn")
    pipe, end = spawn.Pipe()
    process = spawn.Process(target=work, args=(end, *job, parts), daemon=True)
    process.start()
    end.close()
    return pipe, process


def compile_all(jobs: list[tuple], parts: list[str], seconds: float, processes: int) -> dict[tuple, tuple]:
    """By job its pipe, its process, and how long it took or why it is not ready; what takes longest comes first."""
    later, deadline = sorted(jobs, key=lambda job: job[0] != "flex"), time.monotonic() + seconds
    working, found = {}, {}
    while (later or working) and (left := deadline - time.monotonic()) > 0:
        while later and len(working) < processes:
            job = later.pop(0)
            pipe, process = start(job, parts)
            working[pipe] = job, process
        for pipe in multiprocessing.connection.wait(working, left):
            job, process = working.pop(pipe)
            found[job] = pipe, process, receive(pipe, 0)
    for pipe, (job, process) in working.items():
        process.kill()  # before any other is timed
        found[job] = pipe, process, "not ready in time"
    return found


def measure(jobs: list[tuple], parts: list[str], seconds: float, processes: int) -> Found:
    """Times of all jobs (backend, mask, shape), where all together are given so long to be ready."""
    started, found = compile_all(jobs, parts, seconds, processes), {}
    for job in jobs:
        pipe, process, compiled = started.get(job, (None, None, "not ready in time"))
        times = compiled
        if not isinstance(compiled, str):
            times = receive(pipe, 20, "go")
        if process:
            process.kill()
        line = "{:30s} {:16s} {:14s}".format(*job)
        if isinstance(times, str):
            print(line, times, flush=True)
            continue
        cells = [f"{part} {cell(job, part, quartiles)}" for part, quartiles in times.items()]
        print(line, f"ready in {compiled:.0f} s;", "; ".join(cells), flush=True)
        found |= {(*job, part): quartiles for part, quartiles in times.items()}
    return found


def speed(job: tuple, part: str, quartiles: tuple) -> float:
    """TFLOP/s at the median."""
    B, T, H, K = sizes(job[2])
    return 4e-9 * B * H * K * visible(job[1], T) * FACTORS[part] / quartiles[1]


def cell(job: tuple, part: str, quartiles: tuple | None) -> str:
    """TFLOP/s, and the middle half of the times; or MiB."""
    if quartiles is None:
        return ""
    if part == "memory":
        return f"{quartiles[1]:.0f}"
    first = f"{speed(job, part, quartiles):.0f} " if part in FACTORS else f"{quartiles[1]:.2f} "
    return f"{first}({quartiles[0]:.3f} to {quartiles[2]:.3f})"


def table(found: Found) -> None:
    """The times of our kernels beside the others', and how many times faster than FlexAttention."""
    for part, title in TITLES.items():
        rows = dict.fromkeys(key[1:3] for key in found if key[3] == part)
        print(f"\n| {title} | shape | ours | FlexAttention | ratio | cuDNN in JAX | in PyTorch |")
        print("|---|---|---|---|---|---|---|")
        for name, shape in rows:
            times = {who: found.get((who, name, shape, part)) for who in BACKENDS}
            cells = [cell((who, name, shape), part, times[who]) for who in BACKENDS]
            ratio = f"{times['flex'][1] / times['mosaic'][1]:.2f}" if times["flex"] and times["mosaic"] else ""
            print("|", " | ".join([name, shape, *cells[:2], ratio, *cells[2:]]), "|")


def draw(found: Found, path: pathlib.Path) -> None:
    """A panel per mask, its times forward and backward as TFLOP/s by length; heads 64 wide are hollow."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(key[1] for key in found))
    rows = -(-len(names) // 3)
    figure, grid = pyplot.subplots(rows, 3, figsize=(10, 2.6 * rows), squeeze=False, layout="constrained")
    for name, axes in itertools.zip_longest(names, grid.flat):
        if name is None:
            axes.set_axis_off()
            continue
        for who, title in NAMES.items():
            draw_lines(axes, {key: times for key, times in found.items() if key[:2] == (who, name)}, who, title)
        lengths = sorted({sizes(key[2])[1] for key in found if key[1] == name})
        axes.set(title=name, xscale="log", ylim=(0, 1.1 * axes.dataLim.ymax))
        axes.set_xticks(lengths, [f"T = {lengths[0]}", *lengths[1:]])
        axes.minorticks_off()
    figure.supylabel("useful TFLOP/s, forward and backward")
    known = {label: line for axes in grid.flat for line, label in zip(*axes.get_legend_handles_labels())}
    figure.legend(known.values(), known, loc="outside upper center", ncols=4)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def draw_lines(axes, found: Found, who: str, title: str) -> None:
    """The speeds of one backend under one mask, a line for each head width."""
    for K, fill in (64, "none"), (128, "full"):
        keys = [key for key in found if sizes(key[2])[3] == K]
        points = sorted((sizes(key[2])[1], speed(key[:3], "fb", found[key])) for key in keys)
        if points:
            color = f"C{list(NAMES).index(who)}"
            axes.plot(*zip(*points), marker="o", fillstyle=fill, color=color, label=f"{title}, {K} wide")


def main() -> None:
    """Compiles, times, prints, writes and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--who", default=",".join(BACKENDS))
    parser.add_argument("--mask", default=",".join(MASKS))
    parser.add_argument(
        "--shape", default="16x2048x16x64", help="BxTxHxK, several with a comma; with its own mask after :"
    )
    parser.add_argument("--cut", default="", help="tiles of our kernels, columns:stages each; several with /")
    parser.add_argument("--parts", default="f,fb,map")
    parser.add_argument("--seconds", type=float, default=100, help="to be ready in")
    parser.add_argument("--processes", type=int, default=16, help="that compile at once")
    parser.add_argument("--out", type=pathlib.Path, help="a folder for times and a picture")
    flags = parser.parse_args()
    has_torch = importlib.util.find_spec("torch") is not None
    jobs = []
    for shape, who in itertools.product(flags.shape.split(","), filter(None, flags.who.split(","))):
        if who in OF_TORCH and not has_torch:
            print(f"torch is not installed: {who} is left out of {shape}")
            continue
        shape, _, own = shape.partition(":")
        names = [name for name in (own or flags.mask).split(",") if name in TAKES.get(who, (name,))]
        cuts = flags.cut.split("/") if who == "mosaic" else [""]
        jobs += [(f"{who} {cut}".strip(), name, shape) for cut in cuts for name in names]
    found = measure(jobs, flags.parts.split(","), flags.seconds, flags.processes)
    if flags.out:
        flags.out.mkdir(parents=True, exist_ok=True)
        if found:
            text = json.dumps([[*key, *times] for key, times in found.items()])
            (flags.out / f"attention-{flags.shape}.json").write_text(text)
        rows = [row for file in sorted(flags.out.glob("attention-*.json")) for row in json.loads(file.read_text())]
        found = {tuple(row[:4]): tuple(row[4:]) for row in rows}
        drawn = {key: times for key, times in found.items() if key[0] in NAMES and key[3] == "fb"}
        if drawn:
            draw(drawn, flags.out / "attention.png")
    table(found)


if __name__ == "__main__":
    main()
