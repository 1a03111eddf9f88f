"""How large the decoder is and what a token costs, for tables and for model FLOP utilisation (MFU)."""

import math
from typing import Any, NamedTuple

import jax

from hybridlm.config.model import ModelConfig
from hybridlm.models.parameters import leaves

PRODUCTS = ("qkv", "out", "up", "down", "time", "first", "second", "dense")
"""Names of the leaves that multiply every token, the head aside."""


class Row(NamedTuple):
    """One parameter."""

    path: str
    shape: tuple[int, ...]
    dtype: str
    size: int


def table(params: Any) -> list[Row]:
    """One row per parameter, in the order of the tree; takes arrays or shapes."""
    return [
        Row(jax.tree_util.keystr(path, simple=True, separator="/"), leaf.shape, str(leaf.dtype), math.prod(leaf.shape))
        for path, leaf in jax.tree.leaves_with_path(params)
    ]


def count(params: Any) -> int:
    """Number of parameters, of arrays or shapes."""
    return sum(row.size for row in table(params))


def flops_per_token(config: ModelConfig, vocab_size: int, context_tokens: float | int) -> float | int:
    """Floating-point operations per trained token, forward and backward.

    6 N + 12 L H K S: N weights multiply each token (embeddings are looked up, the head counts once, tied or not), with
    2 operations forward and 4 backward each; and each of S visible tokens costs a query 2 K per head for its logit and
    2 K for its value, thrice over. S = `context_tokens` is the mean number of tokens a query may see under the mask, so
    (T + 1) / 2 for a causal row of T. Recomputation by remat is not counted.
    """
    weights = config.padded_vocab(vocab_size) * config.width
    for path, leaf in jax.tree.leaves_with_path(leaves(config, vocab_size)):
        weights += math.prod(leaf.shape) if path[-1].key in PRODUCTS else 0
    return 6 * weights + 12 * config.layers * config.heads * config.key_width * context_tokens
