"""Every parameter of the decoder as a table of shapes and initialisers: the one place that names them.

Leaves of all layers are stacked along a leading L, so that a loop over layers may scan or unroll one checkpoint.
Projections that read the same input are fused along an axis of their own, which no mesh axis ever cuts: `qkv` is
[D, J, R + 2, K], every key/value head J beside its R = H / J query heads (queries first, then key, then value), and
`up` is [D, 2, F] when gated (gate, then up). Tensor parallelism cuts J and F: each device gets whole head groups and
matching gate and up columns, where a flat [D, (H + 2J) K] would be cut between queries and keys.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from hybridlm.config.model import ModelConfig
from hybridlm.models.time import TIME_WIDTH


@dataclasses.dataclass(frozen=True)
class Leaf:
    """One parameter: its shape, and the normal distribution it starts from (a constant where `std` is 0)."""

    shape: tuple[int, ...]
    std: float = 0.0
    mean: float = 0.0

    def draw(self, key: Key[Array, ""]) -> Float[Array, "..."]:
        if self.std == 0:
            return jnp.full(self.shape, self.mean, jnp.float32)
        return self.mean + self.std * jax.random.normal(key, self.shape, jnp.float32)


def leaves(config: ModelConfig, vocab_size: int) -> dict:
    """The nested table of leaves; its paths are those of the checkpoint."""
    rows = config.padded_vocab(vocab_size)
    tree = {"embedding": _embedding(config, rows), "layers": _stacked(config.layers, _layer(config))}
    if config.final_dense != "none":
        dense = Leaf((config.width, config.width), config.init_std)
        tree["final_dense"] = {"dense": dense, "dense_bias": Leaf((config.width,))}
    if config.final_norm:
        tree["final_norm"] = _norm(config)
    if config.time_conditioning:
        square = Leaf((TIME_WIDTH, TIME_WIDTH), TIME_WIDTH**-0.5)
        bias = Leaf((TIME_WIDTH,))
        tree["time"] = {"first": square, "first_bias": bias, "second": square, "second_bias": bias}
    head = {} if config.tied_head else {"kernel": Leaf((rows, config.width), config.init_std)}
    if config.head_bias:
        head["bias"] = Leaf((rows,))
    return tree | ({"head": head} if head else {})


def _stacked(layers: int, table: dict) -> dict:
    return jax.tree.map(lambda leaf: dataclasses.replace(leaf, shape=(layers, *leaf.shape)), table)


def _embedding(config: ModelConfig, rows: int) -> dict:
    table = {"tokens": Leaf((rows, config.width), config.init_std)}
    if config.positions == "learned":
        table["positions"] = Leaf((config.max_positions, config.width), config.init_std)
    if config.embedding_norm:
        table["norm"] = _scale_and_shift(config)
    return table


def _layer(config: ModelConfig) -> dict:
    return {
        "attention": _attention(config),
        "attention_norm": _norm(config),
        "ffn": _ffn(config),
        "ffn_norm": _norm(config),
    }


def _attention(config: ModelConfig) -> dict:
    width, heads, kv_heads, key_width = config.width, config.heads, config.kv_heads, config.key_width
    shared_by = heads // kv_heads
    table = {
        "qkv": Leaf((width, kv_heads, shared_by + 2, key_width), config.init_std),
        "out": Leaf((heads, key_width, width), _residual_std(config)),
    }
    if config.attention_bias != "none":
        table["qkv_bias"] = Leaf((kv_heads, shared_by + 2, key_width))
    if config.attention_bias == "all":
        table["out_bias"] = Leaf((width,))
    if config.qk_norm != "none":
        whole = config.qk_norm == "full"
        table["query_norm"] = Leaf((kv_heads, shared_by, key_width) if whole else (key_width,), mean=1.0)
        table["key_norm"] = Leaf((kv_heads, key_width) if whole else (key_width,), mean=1.0)
    return table


def _ffn(config: ModelConfig) -> dict:
    columns = 2 if config.gated else 1
    table = {
        "up": Leaf((config.width, columns, config.ffn), config.init_std),
        "down": Leaf((config.ffn, config.width), _residual_std(config)),
    }
    if config.ffn_bias:
        table |= {"up_bias": Leaf((columns, config.ffn)), "down_bias": Leaf((config.width,))}
    return table


def _norm(config: ModelConfig) -> dict:
    table = _scale_and_shift(config)
    if config.time_conditioning:
        table["time"] = Leaf((TIME_WIDTH, 2, config.width))
    return table


def _scale_and_shift(config: ModelConfig) -> dict:
    table = {"scale": Leaf((config.width,), mean=1.0)}
    return table | ({"bias": Leaf((config.width,))} if config.norm == "layer" else {})


def _residual_std(config: ModelConfig) -> float:
    """Residual outputs start smaller, so that the sum of 2 L of them has the variance of one (GPT-2)."""
    return config.init_std / (2 * config.layers) ** 0.5
