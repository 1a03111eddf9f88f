"""How fast texts are continued, token by token, beside `transformers` with a static cache, compiled.

    python -m benchmarks.generate                      SmolLM2-135M's shape, random weights, bfloat16, one accelerator
    python -m benchmarks.generate --alone              ours alone
    python -m benchmarks.generate --loop=scan          the same with scanned layers
    python -m benchmarks.generate --preset=tiny --batches 1 2 --prompt=8 --tokens=16 --runs=3     a dry run on a CPU

Greedy, random prompts, no row ends early. One run is prompt and new tokens together, from ids on the host to ids on the
host. Theirs compiles for minutes, so it has a process per batch size, and all compile at once; what is not ready after
`--limit` seconds is left out, and a line says so. Then runs are timed one at a time, ours and theirs in turn, while
everything else is idle. Prints new tokens per second, median and quartiles.
"""

import argparse
import dataclasses
import functools
import importlib.util
import time
from collections.abc import Callable

import jax
import numpy as np

from benchmarks.elsewhere import Elsewhere
from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import autoregressive
from hybridlm.config.sampling import GREEDY, SamplingConfig
from hybridlm.models import decoder
from hybridlm.offline import networks
from hybridlm.sampling import samplers, streaming
from hybridlm.sampling.samplers import Trained
from hybridlm.sampling.written import NO_EOS

SHAPES = {
    "SmolLM2-135M": (
        ModelConfig(width=576, layers=30, heads=9, kv_heads=3, ffn=1536, rotary_base=100_000.0, dtype="bfloat16"),
        49_152,
    ),
    "tiny": (ModelConfig(width=64, layers=2, heads=4, kv_heads=2, ffn=128), 1_000),
}

Run = Callable[[np.ndarray], np.ndarray]
"""Prompts [B, P] to new ids [B, N]."""


def ours(name: str, loop: str, tokens: int, chunk: int) -> Run:
    """This package's own, through the loop that `hybridlm generate` uses."""
    config, size = SHAPES[name]
    config = dataclasses.replace(config, loop=loop)
    params = jax.jit(functools.partial(decoder.init, config, size))(jax.random.key(0))
    network = networks.of_decoder(config, size, params)
    sampling = SamplingConfig(tokens=tokens, choice=GREEDY, chunk=chunk)
    writer = samplers.make(sampling, Trained(objectives={"ar": autoregressive()}, mask_id=0, eos=NO_EOS))

    def run(prompts_BP):
        rows = len(prompts_BP)
        keys_B = streaming.row_keys(0, rows)
        state = streaming.write(writer, network, prompts_BP.tolist(), keys_B, lambda new: [False] * rows)
        return np.asarray(state.written.tokens_BN)

    return run


def theirs(name: str, tokens: int) -> Run:
    """`transformers` on PyTorch, as its documentation makes it fast."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config, size = SHAPES[name]
    shape = LlamaConfig(
        vocab_size=size,
        hidden_size=config.width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        intermediate_size=config.ffn,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = LlamaForCausalLM(shape).to(device, torch.bfloat16 if device == "cuda" else torch.float32).eval()
    asked = {"max_new_tokens": tokens, "min_new_tokens": tokens, "do_sample": False, "pad_token_id": 0}

    @torch.inference_mode()
    def run(prompts_BP):
        prompts_BP = torch.as_tensor(prompts_BP, dtype=torch.long, device=device)
        mask_BP = torch.ones_like(prompts_BP)
        found = model.generate(prompts_BP, attention_mask=mask_BP, cache_implementation="static", **asked)
        return found[:, prompts_BP.shape[1] :].cpu().numpy()

    return run


def seconds(run: Run, prompts_BP: np.ndarray, tokens: int) -> float:
    """One run, whole; every token asked for must come."""
    begin = time.perf_counter()
    found = run(prompts_BP)
    elapsed = time.perf_counter() - begin
    assert found.shape == (len(prompts_BP), tokens), found.shape
    return elapsed


def warm(run: Run, prompts_BP: np.ndarray) -> None:
    """Theirs is compiled by the first call and recorded by the next."""
    for _ in range(3):
        run(prompts_BP)


class Theirs:
    """Theirs, warm."""

    def __init__(self, name: str, prompts_BP: np.ndarray, tokens: int):
        self._run, self._prompts_BP, self._tokens = theirs(name, tokens), prompts_BP, tokens
        warm(self._run, prompts_BP)

    def seconds(self) -> float:
        """Of one run."""
        return seconds(self._run, self._prompts_BP, self._tokens)


def compare(contenders: dict[str, Callable[[], float]], rows: int, tokens: int, runs: int) -> None:
    """Prints a line per contender at this batch size, and how much faster the first is."""
    times = {label: [] for label in contenders}
    for number in range(runs):
        # the order alternates, so that a drift of the machine's speed touches all alike
        for label in sorted(contenders, reverse=bool(number % 2)):
            times[label].append(contenders[label]())
    speeds = {label: rows * tokens / np.array(values) for label, values in times.items()}
    own = np.median(speeds["hybridlm"])
    for label, values in speeds.items():
        low, middle, high = np.percentile(values, (25, 50, 75))
        ratio = "" if label == "hybridlm" else f"   hybridlm: {own / middle:.2f} times as fast"
        print(f"batch {rows:3d}  {label:12s} {middle:10,.0f} tokens/s ({low:,.0f}-{high:,.0f}){ratio}", flush=True)


def measure(flags: argparse.Namespace, prompts: dict[int, np.ndarray], *, is_alone: bool) -> None:
    """Compiles everything, then compares batch size by batch size."""
    begin = time.perf_counter()
    about = {rows: (flags.preset, prompts_BP, flags.tokens) for rows, prompts_BP in prompts.items()}
    others = {} if is_alone else {rows: Elsewhere(Theirs, *each) for rows, each in about.items()}
    for other in others.values():
        other.ask("seconds")
    run = ours(flags.preset, flags.loop, flags.tokens, flags.chunk)
    for rows, prompts_BP in prompts.items():
        warm(run, prompts_BP)
        print(f"batch {rows:3d}  hybridlm     ready after {time.perf_counter() - begin:.0f} s", flush=True)
    is_ready = {rows: other.answer(begin + flags.limit) is not None for rows, other in others.items()}
    for rows, other in others.items():
        if not is_ready[rows]:
            print(f"batch {rows:3d}  transformers is left out: it failed, or compiled for too long", flush=True)
            other.stop()
    print(f"all ready after {time.perf_counter() - begin:.0f} s", flush=True)
    for rows, prompts_BP in prompts.items():
        contenders = {"hybridlm": functools.partial(seconds, run, prompts_BP, flags.tokens)}
        if is_ready.get(rows):
            contenders["transformers"] = functools.partial(others[rows].call, "seconds")
        compare(contenders, rows, flags.tokens, flags.runs)
    for other in others.values():
        other.stop()


def main() -> None:
    """Prints a table by batch size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="SmolLM2-135M", choices=SHAPES)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--prompt", type=int, default=64, help="tokens of each prompt")
    parser.add_argument("--tokens", type=int, default=128, help="new tokens")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--chunk", type=int, default=64, help="tokens between two looks of the host")
    parser.add_argument("--loop", default="unroll", choices=("unroll", "scan"), help="over our layers")
    parser.add_argument("--limit", type=float, default=120, help="seconds that `transformers` may compile")
    parser.add_argument("--alone", action="store_true", help="leave `transformers` out")
    flags = parser.parse_args()
    print(f"jax {jax.__version__}, {flags.preset}, layers: {flags.loop}")
    print(f"prompt {flags.prompt}, {flags.tokens} new tokens, greedy, {flags.runs} runs each", flush=True)
    is_installed = all(map(importlib.util.find_spec, ("transformers", "torch")))
    if flags.alone or not is_installed:
        print("without transformers: " + ("left out" if flags.alone else "it is not installed"))
    size, random = SHAPES[flags.preset][1], np.random.default_rng(0)
    prompts = {rows: random.integers(3, size, (rows, flags.prompt)).astype(np.int32) for rows in flags.batches}
    measure(flags, prompts, is_alone=flags.alone or not is_installed)
    print(f"on {jax.devices()[0].device_kind}")


if __name__ == "__main__":
    main()
