"""Whether the tensors of a directory are those of the table: none missing, none left over, every shape as asked."""

import re
from collections.abc import Iterable

import numpy as np

from hybridlm.config.errors import require
from hybridlm.config.model import ModelConfig
from hybridlm.interop.architecture import Architecture, Tensor, plan
from hybridlm.interop.tensor_files import Tensors

Leaves = dict[str, list[Tensor]]

_SHOWN = 4


def matched(architecture: Architecture, config: ModelConfig, vocab_size: int, tensors: Tensors) -> Leaves:
    """The stored tensors each of our leaves is made of; raises ConfigError where they are not this network's."""
    leaves = plan(architecture.table, config, vocab_size)
    if not any(name.startswith(architecture.prefix) for name in tensors.names):
        leaves = {path: [_bare(tensor, architecture.prefix) for tensor in parts] for path, parts in leaves.items()}
    wanted = {tensor.name: tensor for parts in leaves.values() for tensor in parts}
    _check_names(architecture, config, leaves, wanted.keys() | set(architecture.broadcast.values()), tensors)
    for name, tensor in wanted.items():
        require(
            tensors.shape(name) == tensor.shape,
            f"tensor {name!r} has shape {tensors.shape(name)}, and config.json asks for {tensor.shape}; one of the two "
            "belongs to another model.",
        )
    return leaves


def _bare(tensor: Tensor, prefix: str) -> Tensor:
    return tensor._replace(name=tensor.name.removeprefix(prefix))


def _check_names(architecture, config, leaves, wanted, tensors):
    missing = wanted - tensors.names
    require(
        not missing,
        f"the weights lack {_some(missing)}, which {architecture.name} with this config.json needs; either the "
        "download is incomplete, or config.json belongs to another model.",
    )
    surplus = {name for name in tensors.names - wanted if not re.fullmatch(architecture.ignored, name)}
    if config.tied_head and architecture.head in surplus:
        _check_tied(leaves["embedding/tokens"][0].name, architecture.head, tensors)
        surplus -= {architecture.head}
    require(
        not surplus,
        f"the weights also hold {_some(surplus)}, which {architecture.name} with this config.json has no place for; "
        "leaving them out would change its numbers.",
    )


def _check_tied(embedding, head, tensors):
    require(
        tensors.shape(head) == tensors.shape(embedding) and np.array_equal(tensors.read(head), tensors.read(embedding)),
        f"config.json ties the head to the embedding, and yet {head!r} differs from {embedding!r}; set "
        '"tie_word_embeddings": false there to use it.',
    )


def _some(names: Iterable[str]) -> str:
    names = sorted(names)
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
