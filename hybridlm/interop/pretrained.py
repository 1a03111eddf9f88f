"""A published model as our config and our parameters, built leaf by leaf from the tensors of its table."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from etils import epath
from jaxtyping import Float, PyTree

from hybridlm.config.errors import nearest, require
from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import Objective
from hybridlm.interop import fields as fields_of
from hybridlm.interop import tensor_files
from hybridlm.interop.architecture import Architecture, Tensor, path_text
from hybridlm.interop.families import ARCHITECTURES
from hybridlm.interop.fields import Fields
from hybridlm.interop.matching import matched
from hybridlm.masks import Mask
from hybridlm.models import parameters

ROLES = ("bos", "eos", "pad", "mask")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pretrained:
    """What a network is, apart from its numbers.

    Attributes:
      config: its shape. vocab_size: rows of its embedding, often more than its tokenizer has ids.
      objective: what it was trained to predict. mask: what its attention leaves out besides, or None.
      context: the longest text it was made for, in tokens. special: ids of "bos", "eos", "pad", "mask" where stated.
      architecture: the name `transformers` has for it. notes: what a reader of its scores should know.
    """

    config: ModelConfig
    vocab_size: int
    objective: Objective
    context: int
    mask: Mask | None = None
    special: Mapping[str, int] = dataclasses.field(default_factory=dict)
    architecture: str = ""
    notes: tuple[str, ...] = ()


def describe(directory: epath.PathLike) -> Pretrained:
    """What the directory holds, from config.json alone; features that our decoder lacks are refused by name."""
    fields = fields_of.read(epath.Path(directory))
    architecture = _architecture((fields.get("architectures") or ["none"])[0])
    return Pretrained(
        config=architecture.read(fields),
        vocab_size=fields.need("embedding_size", "vocab_size"),
        objective=architecture.objective,
        context=fields.need(architecture.context),
        mask=architecture.window(fields),
        special=dict(_special(fields)),
        architecture=architecture.name,
        notes=tuple(_notes(fields)),
    )


def load_params(
    directory: epath.PathLike, model: Pretrained, shardings: PyTree = None, *, rows: int = 0
) -> dict[str, Any]:
    """The parameters in float32; each leaf goes where `shardings` says (None: one device) before the next is read.

    With `rows` beyond `vocab_size`, for ids that a tokenizer has and the network has not, rows of zeros follow.
    """
    table = parameters.leaves(model.config, max(rows, model.vocab_size))
    if shardings is None:
        shardings = jax.tree.map(lambda _: jax.sharding.SingleDeviceSharding(jax.devices()[0]), table)
    architecture = _architecture(model.architecture)
    with tensor_files.opened(epath.Path(directory), architecture.renamed) as tensors:
        leaves = matched(architecture, model.config, model.vocab_size, tensors)

        def load(path, entry, sharding):
            leaf = _assembled(entry.shape, leaves[path_text(path)], tensors)
            if path_text(path) in architecture.broadcast:
                leaf += tensors.read(architecture.broadcast[path_text(path)])[0]
            return jax.device_put(leaf, sharding)

        return jax.tree.map_with_path(load, table, shardings)


def load_pretrained(directory: epath.PathLike) -> tuple[Pretrained, dict[str, Any]]:
    """The network and its parameters, on the first device."""
    model = describe(directory)
    return model, load_params(directory, model)


def _architecture(name: str) -> Architecture:
    known = {architecture.name: architecture for architecture in ARCHITECTURES}
    require(name in known, f"there is no table for the architecture {name!r} of config.json{nearest(name, known)}")
    return known[name]


def _special(fields: Fields) -> Iterator[tuple[str, int]]:
    for role in ROLES:
        match fields.get(f"{role}_token_id"):
            case int(token) | [int(token), *_]:
                yield role, token


def _notes(fields: Fields) -> Iterator[str]:
    if fields.get("auto_map"):
        yield "config.json names code of the model's author (auto_map); none of it runs, the table here stands for it."
    if unread := fields.unread():
        yield f"config.json has fields that nobody here reads: {', '.join(unread)}."


def _assembled(shape: tuple[int, ...], parts: list[Tensor], tensors) -> Float[np.ndarray, "..."]:
    """One leaf, filled tensor by tensor; what no tensor reaches stays zero."""
    leaf = np.zeros(shape, np.float32)
    for part in parts:
        part.fill(leaf, tensors.read(part.name))
    return leaf
