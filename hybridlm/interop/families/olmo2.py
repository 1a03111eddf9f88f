"""OLMo 2 (2025): Llama with its norms on the outputs of each branch, and norms over all queries and over all keys."""

from typing import Any

from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import autoregressive
from hybridlm.interop.architecture import Architecture
from hybridlm.interop.families import llama
from hybridlm.interop.fields import Fields

TABLE = llama.TABLE | {
    "layers/attention_norm/scale": {"model.layers.{}.post_attention_layernorm.weight": "d -> d"},
    "layers/ffn_norm/scale": {"model.layers.{}.post_feedforward_layernorm.weight": "d -> d"},
    "layers/attention/query_norm": {"model.layers.{}.self_attn.q_norm.weight": "(j r k) -> j r k"},
    "layers/attention/key_norm": {"model.layers.{}.self_attn.k_norm.weight": "(j k) -> j k"},
}


def read(fields: Fields) -> ModelConfig:
    """Our config of an OLMo 2."""
    bias = "all" if fields.get("attention_bias", False) else "none"
    return ModelConfig(**llama.shape(fields), attention_bias=bias, norm_placement="output", qk_norm="full")


def write(config: ModelConfig) -> dict[str, Any]:
    """The fields of an OLMo 2 as near to our config as one can be."""
    bias = config.attention_bias == "all"
    return {"model_type": "olmo2", **llama.shape_fields(config), "attention_bias": bias}


OLMO_2 = Architecture("Olmo2ForCausalLM", TABLE, read, write, autoregressive())
