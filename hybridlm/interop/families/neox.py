"""GPT-NeoX (Black et al. 2022), the architecture of Pythia: layer norms, partly rotating heads, parallel branches."""

from typing import Any

from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import autoregressive
from hybridlm.interop.architecture import Architecture
from hybridlm.interop.families.gpt2 import ACTIVATIONS
from hybridlm.interop.fields import Fields, rotary

TABLE = {
    "embedding/tokens": {"gpt_neox.embed_in.weight": "v d -> v d"},
    "layers/attention_norm/scale": {"gpt_neox.layers.{}.input_layernorm.weight": "d -> d"},
    "layers/attention_norm/bias": {"gpt_neox.layers.{}.input_layernorm.bias": "d -> d"},
    "layers/attention/qkv": {"gpt_neox.layers.{}.attention.query_key_value.weight": "(j c k) d -> d j c k"},
    "layers/attention/qkv_bias": {"gpt_neox.layers.{}.attention.query_key_value.bias": "(j c k) -> j c k"},
    "layers/attention/out": {"gpt_neox.layers.{}.attention.dense.weight": "d (h k) -> h k d"},
    "layers/attention/out_bias": {"gpt_neox.layers.{}.attention.dense.bias": "d -> d"},
    "layers/ffn_norm/scale": {"gpt_neox.layers.{}.post_attention_layernorm.weight": "d -> d"},
    "layers/ffn_norm/bias": {"gpt_neox.layers.{}.post_attention_layernorm.bias": "d -> d"},
    "layers/ffn/up": {"gpt_neox.layers.{}.mlp.dense_h_to_4h.weight": "f d -> d 1 f"},
    "layers/ffn/up_bias": {"gpt_neox.layers.{}.mlp.dense_h_to_4h.bias": "f -> 1 f"},
    "layers/ffn/down": {"gpt_neox.layers.{}.mlp.dense_4h_to_h.weight": "d f -> f d"},
    "layers/ffn/down_bias": {"gpt_neox.layers.{}.mlp.dense_4h_to_h.bias": "d -> d"},
    "final_norm/scale": {"gpt_neox.final_layer_norm.weight": "d -> d"},
    "final_norm/bias": {"gpt_neox.final_layer_norm.bias": "d -> d"},
    "head/kernel": {"embed_out.weight": "v d -> v d"},
}


def read(fields: Fields) -> ModelConfig:
    """Our config of a GPT-NeoX."""
    turned = rotary(fields, fraction=0.25)
    width, heads = fields.need("hidden_size"), fields.need("num_attention_heads")
    return ModelConfig(
        width=width,
        layers=fields.need("num_hidden_layers"),
        heads=heads,
        kv_heads=heads,
        head_width=width // heads,
        ffn=fields.need("intermediate_size"),
        activation=fields.choose("hidden_act", ACTIVATIONS, "gelu"),
        norm="layer",
        norm_eps=fields.get("layer_norm_eps", 1e-5),
        attention_bias="all" if fields.get("attention_bias", True) else "none",
        ffn_bias=True,
        parallel_residual=fields.get("use_parallel_residual", True),
        tied_head=fields.get("tie_word_embeddings", False),
        **turned,
    )


def write(config: ModelConfig) -> dict[str, Any]:
    """The fields of a GPT-NeoX as near to our config as one can be."""
    activations = {ours: theirs for theirs, ours in ACTIVATIONS.items()}
    return {
        "model_type": "gpt_neox",
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.ffn,
        "hidden_act": activations.get(config.activation, "gelu"),
        "layer_norm_eps": config.norm_eps,
        "attention_bias": config.attention_bias == "all",
        "use_parallel_residual": config.parallel_residual,
        "tie_word_embeddings": config.tied_head,
        "rotary_emb_base": config.rotary_base,
        "rotary_pct": config.rotary_fraction,
    }


GPT_NEOX = Architecture(
    "GPTNeoXForCausalLM",
    TABLE,
    read,
    write,
    autoregressive(),
    prefix="gpt_neox.",
    ignored=r".*\.attention\.((masked_)?bias|rotary_emb\.inv_freq)",
)
