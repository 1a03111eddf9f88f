"""Our parameters as a directory that `transformers` loads, under the architecture whose network is the same.

Which one that is, its own table decides: it fits if the config it would write reads back as ours.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from etils import epath

from hybridlm.config.errors import ConfigError, require
from hybridlm.config.model import ModelConfig
from hybridlm.interop import tensor_files
from hybridlm.interop.architecture import Architecture, path_text, plan
from hybridlm.interop.families import ARCHITECTURES
from hybridlm.interop.fields import CONFIG, Fields
from hybridlm.interop.pretrained import Pretrained

TOKENIZER = "tokenizer.json"

_FREE = ("vocab_size", "vocab_multiple", "dtype", "loop", "remat", "init_std", "attention_backend")
"""Fields of a config that say how a network is computed or started, not what it computes."""


def save_pretrained(
    directory: epath.PathLike,
    model: Pretrained,
    params: Mapping[str, Any],
    *,
    files: Mapping[str, bytes] | None = None,
    never_ids: Sequence[int] = (),
) -> None:
    """Writes config.json, float32 safetensors and the `files` of the tokenizer into a new directory.

    Rows that pad the vocabulary are left out. `transformers` knows no `never_ids`: they are written as tokens that
    generation suppresses, but its likelihoods include them. Raises ConfigError where it has no such network.
    """
    directory, files = epath.Path(directory), dict(files or {})
    architecture = fitting(model)
    require(
        not directory.exists() or not any(directory.iterdir()),
        f"{directory} holds files already, which might be taken for parts of this model; choose a new directory.",
    )
    directory.mkdir(parents=True, exist_ok=True)
    tensor_files.write(directory, _tensors(architecture, model, params))
    if TOKENIZER in files:
        files["tokenizer_config.json"] = _json(_tokenizer_config(json.loads(files[TOKENIZER]), model))
    if never_ids:
        files["generation_config.json"] = _json({"suppress_tokens": sorted(never_ids), **_ids(model)})
    for name, content in files.items():
        (directory / name).write_bytes(content)
    (directory / CONFIG).write_bytes(_json(_fields(architecture, model)))


def fitting(model: Pretrained) -> Architecture:
    """The architecture of `transformers` that is this network; raises ConfigError with what stands in the way."""
    candidates = []
    for architecture in ARCHITECTURES:
        if architecture.write is not None:
            obstacles = list(_obstacles(architecture, model))
            if not obstacles:
                return architecture
            candidates.append((len(obstacles), architecture.name, obstacles))
    _, name, obstacles = min(candidates)
    raise ConfigError(
        f"transformers has no network like this one. The nearest is {name}, and in the way are: {'; '.join(obstacles)}."
    )


def _obstacles(architecture: Architecture, model: Pretrained) -> Iterator[str]:
    try:
        theirs = architecture.read(Fields(architecture.write(model.config)))
    except ConfigError as error:
        yield str(error)
        return
    ours, theirs = _plain(model.config), _plain(theirs)
    for field in dataclasses.fields(ModelConfig):
        yield from _difference("model", field.name, ours, theirs)
    for name in ("layout", "predicts"):
        yield from _difference("objective", name, model.objective, architecture.objective)
    if model.mask is not None:
        yield "a mask of its own (there none)"


def _difference(where: str, name: str, ours: Any, theirs: Any) -> Iterator[str]:
    mine, other = getattr(ours, name), getattr(theirs, name)
    if mine != other:
        yield f"{where}.{name}={mine!r} (there {other!r})"


def _plain(config: ModelConfig) -> ModelConfig:
    """The config without what has no effect on its numbers, so that equal networks compare equal."""
    unused = ["rotary_base", "rotary_fraction"] if config.positions != "rotary" else []
    unused += ["max_positions"] if config.positions != "learned" else []
    default = ModelConfig()
    plain = {name: getattr(default, name) for name in (*_FREE, *unused)}
    return dataclasses.replace(config, head_width=config.key_width, **plain)


def _fields(architecture: Architecture, model: Pretrained) -> dict[str, Any]:
    return {
        "architectures": [architecture.name],
        "dtype": "float32",
        "vocab_size": model.vocab_size,
        architecture.context: model.context,
        **_ids(model),
        **architecture.write(model.config),
    }


def _ids(model: Pretrained) -> dict[str, int]:
    return {f"{role}_token_id": token for role, token in model.special.items()}


def _tensors(
    architecture: Architecture, model: Pretrained, params: Mapping[str, Any]
) -> Iterator[tuple[str, np.ndarray]]:
    """Their tensors, one of our leaves at a time on the host."""
    for name in architecture.broadcast.values():
        yield name, np.zeros((1, model.config.width), np.float32)
    leaves = plan(architecture.table, model.config, model.vocab_size)
    for path, leaf in jax.tree.leaves_with_path(params):
        ours = np.asarray(leaf, np.float32)
        yield from ((tensor.name, tensor.extract(ours)) for tensor in leaves[path_text(path)])


def _tokenizer_config(tokenizer: Mapping[str, Any], model: Pretrained) -> dict[str, Any]:
    """What `transformers` reads beside tokenizer.json: which of its tokens begin, end, fill and hide text."""
    text_of = {token["id"]: token["content"] for token in tokenizer.get("added_tokens", [])}
    roles = {f"{role}_token": text_of[token] for role, token in model.special.items() if token in text_of}
    return {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": model.context, **roles}


def _json(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, indent=2, ensure_ascii=False).encode()
