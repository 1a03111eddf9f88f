"""GPT-2 (Radford et al. 2019): learned positions, layer norms before each branch, kernels stored input by output."""

from typing import Any

from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import autoregressive
from hybridlm.interop.architecture import Architecture
from hybridlm.interop.fields import Fields

TABLE = {
    "embedding/tokens": {"transformer.wte.weight": "v d -> v d"},
    "embedding/positions": {"transformer.wpe.weight": "p d -> p d"},
    "layers/attention_norm/scale": {"transformer.h.{}.ln_1.weight": "d -> d"},
    "layers/attention_norm/bias": {"transformer.h.{}.ln_1.bias": "d -> d"},
    "layers/attention/qkv": {"transformer.h.{}.attn.c_attn.weight": "d (c j k) -> d j c k"},
    "layers/attention/qkv_bias": {"transformer.h.{}.attn.c_attn.bias": "(c j k) -> j c k"},
    "layers/attention/out": {"transformer.h.{}.attn.c_proj.weight": "(h k) d -> h k d"},
    "layers/attention/out_bias": {"transformer.h.{}.attn.c_proj.bias": "d -> d"},
    "layers/ffn_norm/scale": {"transformer.h.{}.ln_2.weight": "d -> d"},
    "layers/ffn_norm/bias": {"transformer.h.{}.ln_2.bias": "d -> d"},
    "layers/ffn/up": {"transformer.h.{}.mlp.c_fc.weight": "d f -> d 1 f"},
    "layers/ffn/up_bias": {"transformer.h.{}.mlp.c_fc.bias": "f -> 1 f"},
    "layers/ffn/down": {"transformer.h.{}.mlp.c_proj.weight": "f d -> f d"},
    "layers/ffn/down_bias": {"transformer.h.{}.mlp.c_proj.bias": "d -> d"},
    "final_norm/scale": {"transformer.ln_f.weight": "d -> d"},
    "final_norm/bias": {"transformer.ln_f.bias": "d -> d"},
    "head/kernel": {"lm_head.weight": "v d -> v d"},
}

ACTIVATIONS = {
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu": "gelu",
    "relu": "relu",
    "relu2": "relu2",
}
"""Their names for activations without a gate; of several for one function, the last is written."""


def read(fields: Fields) -> ModelConfig:
    """Our config of a GPT-2."""
    fields.only(scale_attn_weights=True, scale_attn_by_inverse_layer_idx=False, add_cross_attention=False)
    width, heads = fields.need("n_embd"), fields.need("n_head")
    return ModelConfig(
        width=width,
        layers=fields.need("n_layer"),
        heads=heads,
        kv_heads=heads,
        head_width=width // heads,
        ffn=fields.get("n_inner", 4 * width),
        max_positions=fields.need("n_positions"),
        activation=fields.choose("activation_function", ACTIVATIONS, "gelu_new"),
        norm="layer",
        norm_eps=fields.get("layer_norm_epsilon", 1e-5),
        attention_bias="all",
        ffn_bias=True,
        positions="learned",
        tied_head=fields.get("tie_word_embeddings", True),
    )


def write(config: ModelConfig) -> dict[str, Any]:
    """The fields of a GPT-2 as near to our config as one can be."""
    activations = {ours: theirs for theirs, ours in ACTIVATIONS.items()}
    return {
        "model_type": "gpt2",
        "n_embd": config.width,
        "n_layer": config.layers,
        "n_head": config.heads,
        "n_inner": config.ffn,
        "n_positions": max(config.max_positions, 1),
        "activation_function": activations.get(config.activation, "gelu_new"),
        "layer_norm_epsilon": config.norm_eps,
        "tie_word_embeddings": config.tied_head,
    }


GPT_2 = Architecture(
    "GPT2LMHeadModel",
    TABLE,
    read,
    write,
    autoregressive(),
    context="n_positions",
    prefix="transformer.",
    ignored=r".*\.attn\.(masked_)?bias",
)
