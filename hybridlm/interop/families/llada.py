"""LLaDA (Nie et al. 2025, 2502.09992): a Llama without a causal mask, under the names of OLMo, trained to unmask."""

from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import masked_diffusion
from hybridlm.interop.architecture import Architecture
from hybridlm.interop.families.llama import GATED
from hybridlm.interop.fields import Fields, rotary

TABLE = {
    "embedding/tokens": {"model.transformer.wte.weight": "v d -> v d"},
    "layers/attention_norm/scale": {"model.transformer.blocks.{}.attn_norm.weight": "d -> d"},
    "layers/attention/qkv": {
        "model.transformer.blocks.{}.q_proj.weight": "(j r k) d -> d j r k",
        "model.transformer.blocks.{}.k_proj.weight": "(j k) d -> d j 1 k",
        "model.transformer.blocks.{}.v_proj.weight": "(j k) d -> d j 1 k",
    },
    "layers/attention/qkv_bias": {
        "model.transformer.blocks.{}.q_proj.bias": "(j r k) -> j r k",
        "model.transformer.blocks.{}.k_proj.bias": "(j k) -> j 1 k",
        "model.transformer.blocks.{}.v_proj.bias": "(j k) -> j 1 k",
    },
    "layers/attention/out": {"model.transformer.blocks.{}.attn_out.weight": "d (h k) -> h k d"},
    "layers/ffn_norm/scale": {"model.transformer.blocks.{}.ff_norm.weight": "d -> d"},
    "layers/ffn/up": {
        "model.transformer.blocks.{}.ff_proj.weight": "f d -> d 1 f",
        "model.transformer.blocks.{}.up_proj.weight": "f d -> d 1 f",
    },
    "layers/ffn/down": {"model.transformer.blocks.{}.ff_out.weight": "d f -> f d"},
    "final_norm/scale": {"model.transformer.ln_f.weight": "d -> d"},
    "head/kernel": {"model.transformer.ff_out.weight": "v d -> v d"},
}


def read(fields: Fields) -> ModelConfig:
    """Our config of a LLaDA."""
    fields.only(
        alibi=False,
        attention_layer_norm=False,
        bias_for_layer_norm=False,
        block_group_size=1,
        block_type="llama",
        include_bias=False,
        input_emb_norm=False,
        layer_norm_type="rms",
        rope=True,
        scale_logits=False,
    )
    heads = fields.need("n_heads")
    return ModelConfig(
        width=fields.need("d_model"),
        layers=fields.need("n_layers"),
        heads=heads,
        kv_heads=1 if fields.get("multi_query_attention") else fields.get("n_kv_heads", heads),
        ffn=fields.need("mlp_hidden_size"),
        activation=fields.choose("activation_type", GATED, "silu"),
        norm_eps=fields.get("rms_norm_eps", 1e-5),
        attention_bias="qkv" if fields.get("include_qkv_bias", False) else "none",
        tied_head=fields.get("weight_tying", False),
        **rotary(fields),
    )


LLADA = Architecture(
    "LLaDAModelLM", TABLE, read, None, masked_diffusion(), context="max_sequence_length", prefix="model.transformer."
)
