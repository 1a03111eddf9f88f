"""Llama (Touvron et al. 2023) and what keeps its names: SmolLM, TinyLlama, OpenLLaMA, Sheared-LLaMA."""

from typing import Any

from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import autoregressive
from hybridlm.interop.architecture import Architecture
from hybridlm.interop.fields import Fields, rotary

TABLE = {
    "embedding/tokens": {"model.embed_tokens.weight": "v d -> v d"},
    "layers/attention_norm/scale": {"model.layers.{}.input_layernorm.weight": "d -> d"},
    "layers/attention/qkv": {
        "model.layers.{}.self_attn.q_proj.weight": "(j r k) d -> d j r k",
        "model.layers.{}.self_attn.k_proj.weight": "(j k) d -> d j 1 k",
        "model.layers.{}.self_attn.v_proj.weight": "(j k) d -> d j 1 k",
    },
    "layers/attention/qkv_bias": {
        "model.layers.{}.self_attn.q_proj.bias": "(j r k) -> j r k",
        "model.layers.{}.self_attn.k_proj.bias": "(j k) -> j 1 k",
        "model.layers.{}.self_attn.v_proj.bias": "(j k) -> j 1 k",
    },
    "layers/attention/out": {"model.layers.{}.self_attn.o_proj.weight": "d (h k) -> h k d"},
    "layers/attention/out_bias": {"model.layers.{}.self_attn.o_proj.bias": "d -> d"},
    "layers/ffn_norm/scale": {"model.layers.{}.post_attention_layernorm.weight": "d -> d"},
    "layers/ffn/up": {
        "model.layers.{}.mlp.gate_proj.weight": "f d -> d 1 f",
        "model.layers.{}.mlp.up_proj.weight": "f d -> d 1 f",
    },
    "layers/ffn/up_bias": {
        "model.layers.{}.mlp.gate_proj.bias": "f -> 1 f",
        "model.layers.{}.mlp.up_proj.bias": "f -> 1 f",
    },
    "layers/ffn/down": {"model.layers.{}.mlp.down_proj.weight": "d f -> f d"},
    "layers/ffn/down_bias": {"model.layers.{}.mlp.down_proj.bias": "d -> d"},
    "final_norm/scale": {"model.norm.weight": "d -> d"},
    "head/kernel": {"lm_head.weight": "v d -> v d"},
}

GATED = {"silu": "swiglu", "gelu": "geglu"}


def shape(fields: Fields, head_width: int = 0) -> dict[str, Any]:
    """What Llama and its kin say alike, as fields of our config; `head_width` is the one meant where none is given."""
    turned = rotary(fields)
    heads = fields.need("num_attention_heads")
    return {
        "width": fields.need("hidden_size"),
        "layers": fields.need("num_hidden_layers"),
        "heads": heads,
        "kv_heads": fields.get("num_key_value_heads", heads),
        "head_width": fields.get("head_dim", head_width),
        "ffn": fields.need("intermediate_size"),
        "activation": fields.choose("hidden_act", GATED, "silu"),
        "norm_eps": fields.get("rms_norm_eps", 1e-6),
        "tied_head": fields.get("tie_word_embeddings", False),
        **turned,
    }


def shape_fields(config: ModelConfig) -> dict[str, Any]:
    """The fields that `shape` reads."""
    activations = {ours: theirs for theirs, ours in GATED.items()}
    return {
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.key_width,
        "intermediate_size": config.ffn,
        "hidden_act": activations.get(config.activation, "silu"),
        "rms_norm_eps": config.norm_eps,
        "tie_word_embeddings": config.tied_head,
        "rope_theta": config.rotary_base,
    }


def read(fields: Fields) -> ModelConfig:
    """Our config of a Llama."""
    bias = "all" if fields.get("attention_bias", False) else "none"
    return ModelConfig(**shape(fields), attention_bias=bias, ffn_bias=fields.get("mlp_bias", False))


def write(config: ModelConfig) -> dict[str, Any]:
    """The fields of a Llama as near to our config as one can be."""
    biases = {"attention_bias": config.attention_bias == "all", "mlp_bias": config.ffn_bias}
    return {"model_type": "llama", **shape_fields(config), **biases}


LLAMA = Architecture("LlamaForCausalLM", TABLE, read, write, autoregressive())
