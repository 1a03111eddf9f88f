"""The masks of `benchmarks.attention`: with their tokens as ours, as FlexAttention takes them, their visible pairs."""

import functools

import numpy as np

DOCUMENTS = {5: (0.18, 0.32, 0.11, 0.22, 0.17), 8: (0.1, 0.2, 0.05, 0.15, 0.12, 0.18, 0.08, 0.12)}
"""Shares of the row, by how many documents are packed."""
MASKS = ("prefix", "window", "documents", "block_diffusion", "strided", "window_documents", "causal", "full")
NATIVE = ("window", "causal", "full")
"""What cuDNN takes."""
PLAIN = ("causal", "full")
"""What PyTorch's scaled_dot_product_attention takes without a mask."""


def segments(name: str, T: int) -> np.ndarray:
    """Which of the packed documents each token of a row belongs to."""
    if "documents" not in name:
        return np.ones(T, int)
    ends = np.cumsum([int(share * T) for share in DOCUMENTS[8 if "8" in name else 5][:-1]])
    return 1 + np.searchsorted(ends, np.arange(T), side="right")


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
        facts = tokens.from_columns(segments(name, T)[None], jnp.arange(T, dtype=jnp.int32)[None])
    return known[name], facts


def flex(name: str, T: int):
    """The same mask as a function of FlexAttention."""
    import torch

    document = torch.as_tensor(segments(name, T), device="cuda")
    half = T // 2

    def causal(b, h, q, k):
        return q >= k

    def window(b, h, q, k):
        return (q >= k) & (q - k <= 1023)

    def documents(b, h, q, k):
        return (q >= k) & (document[q] == document[k])

    def block_diffusion(b, h, q, k):
        clean_k = k < half
        block_q, block_k = (q % half) // 32, (k % half) // 32
        within = (block_q == block_k) & (q // half == k // half)
        return within | ((block_q > block_k) & clean_k)

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
    first = np.searchsorted(segments(name, T), segments(name, T))
    if "window" in name:
        first = np.maximum(first, index - 1023)
    counts = {"full": np.full(T, T), "prefix": np.maximum(index + 1, T // 4), "strided": index // 4 + 1}
    return int(counts.get(name, index + 1 - first).sum())
