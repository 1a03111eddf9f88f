"""A Llama in a GGUF file, as llama.cpp quantises it, turned once into a directory like any other.

Its query and key rows are ordered for rotary pairs (x[2i], x[2i + 1]); published and here they are (x[i], x[i + K/2]).
"""

import json
from collections.abc import Iterator
from typing import Any

import einops
import numpy as np
from etils import epath

from hybridlm.config.errors import ConfigError, require
from hybridlm.interop import gguf_tokenizer, tensor_files
from hybridlm.interop.fields import CONFIG

NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}
"""Names in the file to published ones; those of a layer are without their "blk.N." and "model.layers.N."."""


def convert_gguf(file: epath.PathLike, directory: epath.PathLike) -> None:
    """Writes float32 safetensors, config.json and tokenizer.json; does nothing where it has already done so.

    Needs the package `gguf`. Raises ConfigError where the file is damaged or no plain Llama.
    """
    file, directory = epath.Path(file), epath.Path(directory)
    if (directory / CONFIG).exists():
        source = json.loads((directory / CONFIG).read_text()).get("_name_or_path")
        require(source == file.name, f"{directory} holds {source!r} already, not {file.name}; choose a new directory.")
        return
    reader = _opened(file)
    values = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    config = _config(values, has_head=any(tensor.name == "output.weight" for tensor in reader.tensors))
    tokenizer = gguf_tokenizer.tokenizer_json(values)
    directory.mkdir(parents=True, exist_ok=True)
    tensor_files.write(directory, _tensors(reader, config))
    (directory / "tokenizer.json").write_text(tokenizer)
    # Last, since a directory with a config counts as whole.
    (directory / CONFIG).write_text(json.dumps({"_name_or_path": file.name, **config}, indent=2))


def _opened(file: epath.Path) -> Any:
    try:
        import gguf
    except ImportError as error:
        raise ConfigError("reading a GGUF file needs the package gguf: pip install 'hybridlm[gguf]'.") from error
    require(file.exists(), f"there is no file {str(file)!r}.")
    try:
        return gguf.GGUFReader(file)
    except Exception as error:  # numpy's and its own, wherever the bytes stop making sense
        raise ConfigError(f"{file} is no GGUF file, or is damaged or cut short ({error}); fetch it again.") from error


def _config(values: dict[str, Any], has_head: bool) -> dict[str, Any]:
    kind = values.get("general.architecture")
    require(kind == "llama", f"the GGUF file is of architecture {kind!r}; only 'llama' is read.")
    heads, width = values["llama.attention.head_count"], values["llama.embedding_length"]
    turning = values.get("llama.rope.dimension_count", width // heads)
    scaling = {name: value for name, value in values.items() if name.startswith("llama.rope.scaling")}
    require(
        turning == values.get("llama.attention.key_length", width // heads) and not scaling,
        f"the GGUF file turns {turning} numbers of each head, scaled by {scaling}; only whole heads that are not "
        "scaled are read.",
    )
    special = {role: values.get(f"tokenizer.ggml.{name}_token_id") for role, name in gguf_tokenizer.ROLES.items()}
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "float32",
        "hidden_size": width,
        "num_hidden_layers": values["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": values.get("llama.attention.head_count_kv", heads),
        "head_dim": turning,
        "intermediate_size": values["llama.feed_forward_length"],
        "max_position_embeddings": values["llama.context_length"],
        "rms_norm_eps": _shortest(values["llama.attention.layer_norm_rms_epsilon"]),
        "rope_theta": _shortest(values.get("llama.rope.freq_base", 10_000.0)),
        "tie_word_embeddings": not has_head,
        "vocab_size": len(values["tokenizer.ggml.tokens"]),
        **{f"{role}_token_id": token for role, token in special.items()},
    }


def _tensors(reader: Any, config: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Every tensor under its published name, one at a time, in float32."""
    from gguf.quants import dequantize

    heads = {"attn_q.weight": config["num_attention_heads"], "attn_k.weight": config["num_key_value_heads"]}
    for tensor in reader.tensors:
        _, layer, own = ("", "", tensor.name) if not tensor.name.startswith("blk.") else tensor.name.split(".", 2)
        require(own in NAMES, f"the GGUF file holds {tensor.name!r}, which a plain Llama has not; it is another model.")
        weights = dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)
        if own in heads:
            weights = einops.rearrange(weights, "(h i pair) d -> (h pair i) d", h=heads[own], pair=2)
        yield f"model.layers.{layer}.{NAMES[own]}" if layer else NAMES[own], np.ascontiguousarray(weights)


def _shortest(value: float) -> float:
    """The decimal that was meant: the file keeps 1e-5 as the nearest float32."""
    return float(str(np.float32(value)))
