"""An architecture as data: how its config.json reads, and which of its tensors make up each of our leaves.

A table names, for each of our paths, their tensors ("{}" is the number of a layer) and the arrangement of each, an
einops pattern from theirs to ours. Tensors of one leaf lie side by side along the axis that their patterns write as
`r`, `c` or `1`. The same table reads and writes, since a pattern turns around.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import einops
import jax
import numpy as np
from jaxtyping import Shaped

from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import Objective
from hybridlm.interop.fields import Fields
from hybridlm.masks import Mask
from hybridlm.models import parameters

Table = Mapping[str, Mapping[str, str]]


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Attributes:
    name: as in "architectures" of config.json. table: our paths to their tensors.
    read: fields to our config. write: our config to fields; None where `transformers` has no such class.
    objective: what its networks are trained to predict.
    window: which earlier tokens its attention leaves out, as a mask; None where it sees all.
    context: the field that holds the longest text.
    prefix: of the tensors' names; networks saved without their head lack it.
    broadcast: our path -> the tensor whose first row is added to every row of that leaf; it is written as zeros.
    renamed: names of tensors in older files, as (regular expression, replacement).
    ignored: regular expression of stored constants, and of heads other than the one that predicts tokens.
    """

    name: str
    table: Table
    read: Callable[[Fields], ModelConfig]
    write: Callable[[ModelConfig], dict[str, Any]] | None
    objective: Objective
    window: Callable[[Fields], Mask | None] = lambda fields: None
    context: str = "max_position_embeddings"
    prefix: str = "model."
    broadcast: Mapping[str, str] = dataclasses.field(default_factory=dict)
    renamed: tuple[tuple[str, str], ...] = ()
    ignored: str = r".*rotary_emb\.inv_freq"

    @property
    def head(self) -> str:
        """The name of the head's kernel, which networks with a tied head may store once more."""
        return next(iter(self.table["head/kernel"]))


class Tensor(NamedTuple):
    """One of their tensors: its name and shape, and the region of our leaf it fills in this arrangement."""

    name: str
    shape: tuple[int, ...]
    region: tuple[int | slice, ...]
    pattern: str
    lengths: dict[str, int]

    def fill(self, leaf: Shaped[np.ndarray, "..."], theirs: Shaped[np.ndarray, "..."]) -> None:
        """Copies their numbers into our leaf."""
        leaf[self.region] = einops.rearrange(theirs, self.pattern, **self.lengths)

    def extract(self, leaf: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
        """Their tensor out of our leaf."""
        theirs, ours = self.pattern.split("->")
        return np.ascontiguousarray(einops.rearrange(leaf[self.region], f"{ours} -> {theirs}", **self.lengths))


def plan(table: Table, config: ModelConfig, vocab_size: int) -> dict[str, list[Tensor]]:
    """Their tensors by our path, for each leaf of the decoder."""
    lengths = _lengths(config, vocab_size)
    paths = [path_text(path) for path, _ in jax.tree.leaves_with_path(parameters.leaves(config, vocab_size))]
    return {path: list(_tensors(path, table[path], config.layers, lengths)) for path in paths}


def path_text(path: tuple) -> str:
    """A tree path as a table writes it: "layers/attention/qkv"."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _lengths(config: ModelConfig, vocab_size: int) -> dict[str, int]:
    """The length of every letter of a pattern: c is query, key and value heads together, e a second width."""
    shared_by = config.heads // config.kv_heads
    letters = {"v": vocab_size, "d": config.width, "e": config.width, "f": config.ffn, "p": config.max_positions}
    return letters | {
        "h": config.heads,
        "j": config.kv_heads,
        "k": config.key_width,
        "r": shared_by,
        "c": shared_by + 2,
    }


def _tensors(path: str, parts: Mapping[str, str], layers: int, lengths: dict[str, int]) -> Iterator[Tensor]:
    start = 0
    for name, pattern in parts.items():
        theirs, ours = (_axes(side) for side in pattern.split("->"))
        shape = tuple(_length(axis, lengths) for axis in theirs)
        region = [slice(_length(axis, lengths)) for axis in ours]
        if len(parts) > 1:
            joined = next(n for n, axis in enumerate(ours) if axis in "rc1")
            stop = start + _length(ours[joined], lengths)
            region[joined], start = slice(start, stop), stop
        used = {letter: lengths[letter] for letter in re.findall("[a-z]", pattern.split("->")[0])}
        if path.startswith("layers/"):
            yield from (Tensor(name.format(n), shape, (n, *region), pattern, used) for n in range(layers))
        else:
            yield Tensor(name, shape, tuple(region), pattern, used)


def _axes(side: str) -> list[str]:
    return [group or axis for group, axis in re.findall(r"\(([^)]*)\)|(\S+)", side)]


def _length(axis: str, lengths: dict[str, int]) -> int:
    return math.prod(lengths.get(letter, 1) for letter in axis.split())
