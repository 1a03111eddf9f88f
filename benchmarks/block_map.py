"""How long it takes to classify the 128 x 128 blocks of a mask over 8192 tokens, beside looking at every pair.

    JAX_PLATFORMS=cpu python benchmarks/block_map.py

Facts are traced arguments, so one compiled function serves every batch. Both ways run in turn, in one process; times
are medians, with the middle half of the runs in brackets. They must agree on every block, or the program fails.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np

from hybridlm import masks
from hybridlm.facts import tokens

T, BLOCK, RUNS = 8192, 128, 21
DOCUMENTS = [1500, 2600, 900, 1700, 1300]  # and 192 tokens of padding


def one_document() -> tokens.TokenFacts:
    """Causal: every token is a block of its own."""
    return tokens.one_document(T)


def packed() -> tokens.TokenFacts:
    """Causal inside each of five packed documents."""
    padding = T - sum(DOCUMENTS)
    segment = np.repeat([*range(1, len(DOCUMENTS) + 1), 0], [*DOCUMENTS, padding])
    position = np.concatenate([np.arange(length) for length in (*DOCUMENTS, padding)])
    return tokens.from_columns(jnp.asarray(segment[None], jnp.int32), jnp.asarray(position[None], jnp.int32))


def two_streams() -> tokens.TokenFacts:
    """Block diffusion over 4096 clean tokens and their noisy copies, in blocks of 32."""
    index = jnp.tile(jnp.arange(T // 2, dtype=jnp.int32), 2)[None]
    stream = jnp.repeat(jnp.arange(2, dtype=jnp.int32), T // 2)[None]
    return tokens.from_columns(jnp.ones_like(index), index, index_BT=index, block_BT=index // 32, stream_BT=stream)


@jax.jit
def by_intervals(facts: tokens.TokenFacts) -> jax.Array:
    """What `hybridlm.masks` does."""
    return masks.block_map(masks.unified(), facts, block_q=BLOCK, block_k=BLOCK)


@jax.jit
def by_brute_force(facts: tokens.TokenFacts) -> jax.Array:
    """Every pair, then any and all over each block."""
    tiles = masks.materialize(masks.unified(), facts).reshape(-1, T // BLOCK, BLOCK, T // BLOCK, BLOCK)
    return tiles.any((2, 4)).astype(jnp.int8) + tiles.all((2, 4)).astype(jnp.int8)


def milliseconds(function, facts: tokens.TokenFacts) -> float:
    """One run, waited for."""
    start = time.perf_counter()
    jax.block_until_ready(function(facts))
    return 1e3 * (time.perf_counter() - start)


def main() -> None:
    """Prints a line per layout of tokens."""
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}, T = {T}, blocks of {BLOCK}, {RUNS} runs each")
    for layout in one_document, packed, two_streams:
        facts = layout()
        np.testing.assert_array_equal(by_intervals(facts), by_brute_force(facts))
        runs = [(milliseconds(by_intervals, facts), milliseconds(by_brute_force, facts)) for _ in range(RUNS)]
        (low, fast, high), (low_brute, brute, high_brute) = np.percentile(runs, (25, 50, 75), axis=0).T
        computed = float(masks.computed_fraction(masks.unified(), facts, block_q=BLOCK, block_k=BLOCK))
        print(
            f"{layout.__name__:13s} intervals {fast:7.2f} ms [{low:.2f}, {high:.2f}]   "
            f"brute force {brute:7.1f} ms [{low_brute:.1f}, {high_brute:.1f}]   {computed:.1%} of blocks not empty"
        )


if __name__ == "__main__":
    main()
