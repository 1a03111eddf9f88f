"""Qwen 2 (Yang et al. 2024): Llama with biases on queries, keys and values; Qwen 3: with norms over each head instead.

Both may see a window of earlier tokens alone; here all layers must have the same one.
"""

from typing import Any

from hybridlm import masks
from hybridlm.config.errors import require
from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import autoregressive
from hybridlm.interop.architecture import Architecture
from hybridlm.interop.families import llama
from hybridlm.interop.fields import Fields

NORMED = llama.TABLE | {
    "layers/attention/query_norm": {"model.layers.{}.self_attn.q_norm.weight": "k -> k"},
    "layers/attention/key_norm": {"model.layers.{}.self_attn.k_norm.weight": "k -> k"},
}


def read_2(fields: Fields) -> ModelConfig:
    """Our config of a Qwen 2."""
    return ModelConfig(**llama.shape(fields), attention_bias="qkv")


def read_3(fields: Fields) -> ModelConfig:
    """Our config of a Qwen 3."""
    bias = "all" if fields.get("attention_bias", False) else "none"
    return ModelConfig(**llama.shape(fields, head_width=128), attention_bias=bias, qk_norm="head")


def window(fields: Fields) -> masks.Mask | None:
    """The window of earlier tokens that every layer sees, or None; layers that differ are refused."""
    size = fields.get("sliding_window") if fields.get("use_sliding_window", False) else None
    first = fields.get("max_window_layers", 28)
    layers = range(fields.need("num_hidden_layers"))
    kinds = fields.get("layer_types", ["sliding_attention" if n >= first else "full_attention" for n in layers])
    if size is None:
        return None
    require(
        len(set(kinds)) == 1,
        f"config.json gives some layers a window of {size} tokens and others none (layer_types, max_window_layers), "
        "and this decoder shows all layers the same tokens.",
    )
    return masks.window(size - 1) if kinds[0] == "sliding_attention" else None


def write_2(config: ModelConfig) -> dict[str, Any]:
    """The fields of a Qwen 2 as near to our config as one can be."""
    return {"model_type": "qwen2", "use_sliding_window": False, **llama.shape_fields(config)}


def write_3(config: ModelConfig) -> dict[str, Any]:
    """The fields of a Qwen 3 as near to our config as one can be."""
    bias = config.attention_bias == "all"
    return {**write_2(config), "model_type": "qwen3", "attention_bias": bias}


QWEN_2 = Architecture("Qwen2ForCausalLM", llama.TABLE, read_2, write_2, autoregressive(), window)
QWEN_3 = Architecture("Qwen3ForCausalLM", NORMED, read_3, write_3, autoregressive(), window)
