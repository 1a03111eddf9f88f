"""Attention under many masks: our kernels against FlexAttention, cuDNN and the dense reference, on one GPU.

    python -m benchmarks.attention --check                      every mask against float32, then the table
    python -m benchmarks.attention --who=mosaic --shape=small --mask=prefix,documents --cut=128:2,64:2,64:2
    python -m benchmarks.attention --who=flex                   the opponent (needs torch), in a process of its own

TFLOP/s count visible pairs alone: 4 B H K pairs forward, 3.5 times that forward and backward. Times are medians, with
the middle half in brackets; block masks are made before, and their making is timed by itself.
"""

import argparse
import functools
import time
import traceback

import numpy as np

SHAPES = {"small": (16, 2048, 16, 64), "middle": (8, 4096, 16, 128), "long": (4, 8192, 16, 128)}
"""B, T, H, K."""

FACTORS = {"f": 1, "fq": 2.5, "fk": 3, "fb": 3.5}
"""Work of each part against the forward pass alone: with the gradient of queries, with those of keys and values."""

DOCUMENTS = (0.18, 0.32, 0.11, 0.22, 0.17)
MASKS = ("prefix", "window", "documents", "block_diffusion", "strided", "window_documents", "causal", "full")


def segments(T: int) -> np.ndarray:
    """Which of five packed documents each token belongs to."""
    ends = np.cumsum([int(share * T) for share in DOCUMENTS[:-1]])
    return 1 + np.searchsorted(ends, np.arange(T), side="right")


def milliseconds(function, wait, runs: int = 15, burst: int = 8) -> tuple[float, float, float]:
    """Quartiles of the time of a call, in bursts, after two to warm up."""
    for _ in range(2):
        wait(function())
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        for _ in range(burst):
            out = function()
        wait(out)
        times.append(1e3 * (time.perf_counter() - start) / burst)
    return tuple(np.percentile(times, (25, 50, 75)))


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
        segment = segments(T) if "documents" in name else np.ones(T, np.int32)
        facts = tokens.from_columns(jnp.asarray(segment[None]), jnp.arange(T, dtype=jnp.int32)[None])
    return known[name], facts


def flex(name: str, T: int):
    """The same mask as a function of FlexAttention."""
    import torch

    document = torch.as_tensor(segments(T), device="cuda")
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
        "block_diffusion": block_diffusion,
        "strided": lambda b, h, q, k: (q >= k) & ((q - k) % 4 == 0),
        "window_documents": lambda b, h, q, k: window(b, h, q, k) & (document[q] == document[k]),
        "causal": causal,
        "full": lambda b, h, q, k: q >= 0,
    }[name]


def time_flex(name: str, shape: tuple[int, int, int, int]):
    """Functions to call, by part, and how to wait for them."""
    import torch
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    B, T, H, K = shape
    make = functools.partial(torch.compile(create_block_mask), flex(name, T), None, None, T, T, device="cuda")
    block_mask = make()
    attend = torch.compile(flex_attention)
    q, k, v, dout = (torch.randn(B, H, T, K, device="cuda", dtype=torch.bfloat16) for _ in range(4))
    for array in (q, k, v):
        array.requires_grad_()

    def forward():
        with torch.no_grad():
            return attend(q, k, v, block_mask=block_mask)

    def both():
        return torch.autograd.grad(attend(q, k, v, block_mask=block_mask), (q, k, v), dout)

    return {"f": forward, "fb": both, "map": make}, lambda _: torch.cuda.synchronize()


def arrays(shape, T=None, J=None):
    """Random q, k, v and the gradient of the output."""
    import jax
    import jax.numpy as jnp

    B, length, H, K = shape
    heads = (H, J or H, J or H, H)
    keys = jax.random.split(jax.random.key(0), 4)
    return [jax.random.normal(key, (B, T or length, h, K), jnp.bfloat16) for key, h in zip(keys, heads)]


def plan_of(who: str, cut: str):
    """A function (mask, facts, head width, dtype) -> attend(q, k, v)."""
    from hybridlm import attention
    from hybridlm.attention.mosaic import call
    from hybridlm.attention.mosaic.tiles import Tiles

    def plan(mask, facts, K, dtype):
        if who == "mosaic" and cut:
            tiles = call.Cut(*(Tiles(*map(int, part.split(":"))) for part in cut.split(",")))
            prepared = call.prepare(mask, facts, None, tiles)
            return prepared.batch, lambda batch, q, k, v: call.attend(prepared._replace(batch=batch), q, k, v, K**-0.5)[
                0
            ]
        made = attention.plan(mask, facts, dtype=dtype, head_width=K, backend=who)
        if who == "mosaic":
            return made.prepared.batch, lambda batch, q, k, v: made.backend.attend(
                made.prepared._replace(batch=batch), q, k, v, K**-0.5
            )
        return (), lambda _, q, k, v: made.attend(q, k, v)

    return plan


def time_jax(who: str, name: str, shape: tuple[int, int, int, int], cut: str):
    """As `time_flex`."""
    import jax
    import jax.numpy as jnp

    mask, facts = ours(name, shape[1])
    plan = plan_of(who, cut)
    make = jax.jit(lambda facts: plan(mask, facts, shape[3], jnp.bfloat16)[0])
    batch = jax.block_until_ready(make(facts))
    q, k, v, dout = arrays(shape)
    attend = plan(mask, facts, shape[3], jnp.bfloat16)[1]

    def some(pick):
        """Computes what is picked of out, dq, dk and dv; the compiler drops a kernel whose result nobody takes."""

        @jax.jit
        def run(batch, q, k, v, dout):
            out, pull = jax.vjp(functools.partial(attend, batch), q, k, v)
            return pick((out, *pull(dout)))

        return lambda: run(batch, q, k, v, dout)

    parts = {"f": some(lambda all: all[:1]), "fq": some(lambda all: all[:2]), "fk": some(lambda all: all[2:])}
    return {**parts, "fb": some(lambda all: all), "map": lambda: make(facts)}, jax.block_until_ready


def check(who: str, name: str, K: int, T: int, cut: str) -> str:
    """Relative errors of out, dq, dk, dv against the dense reference in float32; memory is poisoned before."""
    import jax
    import jax.numpy as jnp

    mask, facts = ours(name, T)
    inputs = arrays((2, T, 4, K), J=2)

    def run(who, cut, *inputs):
        batch, attend = plan_of(who, cut)(mask, facts, K, inputs[0].dtype)
        out, pull = jax.vjp(functools.partial(attend, batch), *inputs[:3])
        return out, *pull(inputs[3])

    with jax.default_matmul_precision("highest"):
        wanted = jax.jit(functools.partial(run, "dense", ""))(*(x.astype(jnp.float32) for x in inputs))
    jax.block_until_ready([jnp.full(2**26, jnp.nan) for _ in range(4)])
    fused = jax.jit(functools.partial(run, who, cut))
    got, again = fused(*inputs), fused(*inputs)
    errors = []
    for one, other, want in zip(got, again, wanted):
        one, other, want = (np.asarray(x, np.float64) for x in (one, other, want))
        errors.append(np.linalg.norm(one - want) / np.linalg.norm(want) if np.isfinite(one).all() else np.nan)
        if not np.array_equal(one, other):
            errors[-1] = -errors[-1]
    verdict = "ok" if all(0 <= e < 0.02 for e in errors) else "WRONG"
    return f"{verdict:5s} " + " ".join(f"{name} {error:.4f}" for name, error in zip(("out", "dq", "dk", "dv"), errors))


_SEEN: set[str] = set()


def attempt(label: str, function) -> None:
    """Prints the result or the error, whole where it is the first of its kind, and goes on."""
    try:
        print(f"{label:52s} {function()}", flush=True)
    except Exception as error:  # a failing kernel is a line of the table
        kind = type(error).__name__ + str(error)[:80]
        print(f"{label:52s} FAILED {type(error).__name__}: {str(error)[:160]}", flush=True)
        if kind not in _SEEN:
            _SEEN.add(kind)
            traceback.print_exc()


def row(who: str, name: str, shape_name: str, cut: str, parts: str) -> str:
    """One line of the table."""
    B, T, H, K = SHAPES[shape_name]
    timed = time_flex(name, SHAPES[shape_name]) if who == "flex" else time_jax(who, name, SHAPES[shape_name], cut)
    functions, wait = timed
    work = 4 * B * H * K * visible(name, T) / 1e9
    cells = []
    for part in parts.split("+"):
        if part in functions:
            low, middle, high = milliseconds(functions[part], wait)
            speed = f"{work * FACTORS[part] / middle:6.1f} TF/s" if part in FACTORS else ""
            cells.append(f"{part} {speed} {middle:7.3f} ms [{low:.3f}, {high:.3f}]")
    return "   ".join(cells)


@functools.cache
def visible(name: str, T: int) -> int:
    """How many pairs are visible."""
    index, half = np.arange(T), T // 2
    if name == "block_diffusion":
        block = np.arange(half) // 32
        return int(32 * half + (32 * block).sum() + (32 * (block + 1)).sum())
    document = segments(T)
    first = np.searchsorted(document, document) if "documents" in name else np.zeros(T, int)
    if "window" in name:
        first = np.maximum(first, index - 1023)
    counts = {"full": np.full(T, T), "prefix": np.maximum(index + 1, T // 4), "strided": index // 4 + 1}
    return int(counts.get(name, index + 1 - first).sum())


def main() -> None:
    """Checks, then times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--who", default="mosaic,cudnn,flex")
    parser.add_argument("--mask", default=",".join(MASKS))
    parser.add_argument("--shape", default=",".join(SHAPES))
    parser.add_argument("--cut", default="", help="tiles of our three kernels, columns:stages each; several with /")
    parser.add_argument("--parts", default="f+fb+map")
    parser.add_argument("--check", action="store_true")
    flags = parser.parse_args()
    names, shapes = flags.mask.split(","), flags.shape.split(",")
    for who in flags.who.split(","):
        if flags.check and who != "flex":
            for cut in flags.cut.split("/"):
                for name in names if who != "cudnn" else {"causal", "full"} & set(names):
                    for K, T in (64, 1024), (128, 1024), (64, 1000), (128, 1000):
                        attempt(f"check {who} {name} K={K} T={T} {cut}", functools.partial(check, who, name, K, T, cut))
        for shape in shapes:
            for name in names if who != "cudnn" else {"causal", "full", "window"} & set(names):
                for cut in flags.cut.split("/") if who == "mosaic" else [""]:
                    attempt(f"{who:7s} {name:16s} {shape:7s} {cut}", lambda: row(who, name, shape, cut, flags.parts))  # noqa: B023


if __name__ == "__main__":
    main()
