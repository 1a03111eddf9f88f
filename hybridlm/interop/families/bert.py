"""BERT (Devlin et al. 2019) with its head for masked tokens: norms after each sum, and a dense layer at the end.

All tokens are taken to be of the first of its token types, whose vector then belongs to every position.
"""

from typing import Any

from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import masked_lm
from hybridlm.interop.architecture import Architecture
from hybridlm.interop.families.gpt2 import ACTIVATIONS
from hybridlm.interop.fields import Fields

TABLE = {
    "embedding/tokens": {"bert.embeddings.word_embeddings.weight": "v d -> v d"},
    "embedding/positions": {"bert.embeddings.position_embeddings.weight": "p d -> p d"},
    "embedding/norm/scale": {"bert.embeddings.LayerNorm.weight": "d -> d"},
    "embedding/norm/bias": {"bert.embeddings.LayerNorm.bias": "d -> d"},
    "layers/attention/qkv": {
        "bert.encoder.layer.{}.attention.self.query.weight": "(j r k) d -> d j r k",
        "bert.encoder.layer.{}.attention.self.key.weight": "(j k) d -> d j 1 k",
        "bert.encoder.layer.{}.attention.self.value.weight": "(j k) d -> d j 1 k",
    },
    "layers/attention/qkv_bias": {
        "bert.encoder.layer.{}.attention.self.query.bias": "(j r k) -> j r k",
        "bert.encoder.layer.{}.attention.self.key.bias": "(j k) -> j 1 k",
        "bert.encoder.layer.{}.attention.self.value.bias": "(j k) -> j 1 k",
    },
    "layers/attention/out": {"bert.encoder.layer.{}.attention.output.dense.weight": "d (h k) -> h k d"},
    "layers/attention/out_bias": {"bert.encoder.layer.{}.attention.output.dense.bias": "d -> d"},
    "layers/attention_norm/scale": {"bert.encoder.layer.{}.attention.output.LayerNorm.weight": "d -> d"},
    "layers/attention_norm/bias": {"bert.encoder.layer.{}.attention.output.LayerNorm.bias": "d -> d"},
    "layers/ffn/up": {"bert.encoder.layer.{}.intermediate.dense.weight": "f d -> d 1 f"},
    "layers/ffn/up_bias": {"bert.encoder.layer.{}.intermediate.dense.bias": "f -> 1 f"},
    "layers/ffn/down": {"bert.encoder.layer.{}.output.dense.weight": "d f -> f d"},
    "layers/ffn/down_bias": {"bert.encoder.layer.{}.output.dense.bias": "d -> d"},
    "layers/ffn_norm/scale": {"bert.encoder.layer.{}.output.LayerNorm.weight": "d -> d"},
    "layers/ffn_norm/bias": {"bert.encoder.layer.{}.output.LayerNorm.bias": "d -> d"},
    "final_dense/dense": {"cls.predictions.transform.dense.weight": "e d -> d e"},
    "final_dense/dense_bias": {"cls.predictions.transform.dense.bias": "d -> d"},
    "final_norm/scale": {"cls.predictions.transform.LayerNorm.weight": "d -> d"},
    "final_norm/bias": {"cls.predictions.transform.LayerNorm.bias": "d -> d"},
    "head/kernel": {"cls.predictions.decoder.weight": "v d -> v d"},
    "head/bias": {"cls.predictions.bias": "v -> v"},
}


def read(fields: Fields) -> ModelConfig:
    """Our config of a BERT."""
    fields.only(is_decoder=False, add_cross_attention=False, position_embedding_type="absolute")
    fields.get("type_vocab_size")
    width, heads = fields.need("hidden_size"), fields.need("num_attention_heads")
    activation = fields.choose("hidden_act", ACTIVATIONS, "gelu")
    return ModelConfig(
        width=width,
        layers=fields.need("num_hidden_layers"),
        heads=heads,
        kv_heads=heads,
        head_width=width // heads,
        ffn=fields.need("intermediate_size"),
        max_positions=fields.need("max_position_embeddings"),
        activation=activation,
        final_dense=activation,
        norm="layer",
        norm_placement="post",
        norm_eps=fields.get("layer_norm_eps", 1e-12),
        embedding_norm=True,
        attention_bias="all",
        ffn_bias=True,
        positions="learned",
        head_bias=True,
        tied_head=fields.get("tie_word_embeddings", True),
    )


def write(config: ModelConfig) -> dict[str, Any]:
    """The fields of a BERT as near to our config as one can be."""
    activations = {ours: theirs for theirs, ours in ACTIVATIONS.items()}
    return {
        "model_type": "bert",
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.ffn,
        "max_position_embeddings": max(config.max_positions, 1),
        "hidden_act": activations.get(config.activation, "gelu"),
        "layer_norm_eps": config.norm_eps,
        "type_vocab_size": 1,
        "tie_word_embeddings": config.tied_head,
    }


BERT = Architecture(
    "BertForMaskedLM",
    TABLE,
    read,
    write,
    masked_lm(),
    prefix="bert.",
    broadcast={"embedding/positions": "bert.embeddings.token_type_embeddings.weight"},
    renamed=((r"\.gamma$", ".weight"), (r"\.beta$", ".bias")),
    ignored=r"bert\.pooler\..*|cls\.seq_relationship\..*|bert\.embeddings\.position_ids|cls\.predictions\.decoder\.bias",
)
