"""Ordered rules from parameter paths to partition specs: the one sharding vocabulary of the package.

Why paths: a path is what a checkpoint, a printed table and an optimizer state already have, so one list of data shards
all three, can be read in one glance, and can be replaced for a foreign parameter tree without touching a model. Axis
names attached to parameters would need a Flax type in the tree and a second table from names to mesh axes.

The rules cut kernels twice: along D over fsdp × sequence, and along heads, F or V over tensor, so that a layer's second
product sums over what its first one cut (Megatron's column- then row-parallel pair, Shoeybi et al. 2019). Where D comes
last, F or V is cut further in its place if the parts are whole tiles: each is one stretch of memory then, which a GPU
gathers without transposing it.
"""

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import AbstractMesh, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array

from hybridlm.config.errors import ConfigError, require
from hybridlm.sharding.mesh import BATCH, PARAMETERS, ways

Rules = Sequence[tuple[str, *tuple[P, ...]]]

TILE = 16
"""Rows of bfloat16 that a TPU keeps together; parts that begin within a tile take it more memory (docs/scaling.md)."""

_FURTHER = ("tensor", *PARAMETERS)

RULES: Rules = (
    ("(embedding/tokens|head/kernel)", P(_FURTHER, None), P("tensor", PARAMETERS)),
    ("embedding/positions", P(None, PARAMETERS)),
    ("head/bias", P("tensor")),
    ("layers/attention/qkv", P(None, PARAMETERS, "tensor", None, None)),
    ("layers/attention/qkv_bias", P(None, "tensor", None, None)),
    ("layers/attention/out", P(None, "tensor", None, PARAMETERS)),
    ("layers/ffn/up", P(None, PARAMETERS, None, "tensor")),
    ("layers/ffn/up_bias", P(None, None, "tensor")),
    ("layers/ffn/down", P(None, _FURTHER, None), P(None, "tensor", PARAMETERS)),
    ("final_dense/dense", P(PARAMETERS, None)),
    ("layers/.*_norm/time", P(None, None, None, PARAMETERS)),
    ("final_norm/time", P(None, None, PARAMETERS)),
    # What is left is small and read by every device: norms, biases of the residual stream, the time features' MLP.
    (".*norm(/scale|/bias)?", P()),
    ("(layers|final_dense)/.*_bias", P()),
    ("time/(first|second)(_bias)?", P()),
)
"""(regular expression, specs): the first expression that matches the end of a path, from a component on, decides, and
of its specs the first that cuts into whole tiles, else the last."""

ACTIVATIONS = {
    "batch": BATCH,
    "token": ("sequence",),
    "row": (),
    "model": (),
    "head": ("tensor",),
    "kv_head": ("tensor",),
    "ffn": ("tensor",),
    "id": ("tensor",),
    # behind the network rows are whole, and the devices that shared them share the vocabulary
    "vocab": ("tensor", "sequence"),
}
"""Where the dimensions of activations lie: a name maps to mesh axes; what has none is on every device."""


def specs(tree: Any, rules: Rules = RULES) -> Any:
    """The first choice per leaf of parameters, or of an optimizer state, whose paths end with those of parameters.

    Scalars replicate, and so do factored statistics (Adafactor), which have fewer dimensions than the rule.
    Raises ConfigError naming a path no rule matches.
    """
    return jax.tree.map_with_path(lambda path, leaf: _choices(_text(path), leaf.shape, rules)[0], tree)


def shardings(tree: Any, mesh: Mesh | AbstractMesh, rules: Rules = RULES) -> Any:
    """A NamedSharding per leaf; raises ConfigError where a dimension does not divide over its mesh axes."""

    def one(path, leaf):
        *preferred, last = _choices(_text(path), leaf.shape, rules)
        spec = next((spec for spec in preferred if _is_in_tiles(leaf.shape, spec, mesh)), last)
        _check_divides(_text(path), leaf.shape, spec, mesh)
        return NamedSharding(mesh, spec)

    return jax.tree.map_with_path(one, tree)


@dataclasses.dataclass(frozen=True)
class Constrain:
    """A function of arrays and their names, and what kernels ask of it beside (`facts.devices`)."""

    mesh: Mesh | AbstractMesh

    def __call__(self, x: Array, names: Sequence[str | None]) -> Array:
        spec = P(*(None if name is None else ACTIVATIONS[name] or None for name in names))
        return jax.lax.with_sharding_constraint(x, NamedSharding(self.mesh, spec))

    def parts(self, name: str) -> int:
        """How many parts such a dimension is divided into."""
        return parts(self.mesh, name)


def constrain(mesh: Mesh | AbstractMesh) -> Constrain:
    """The function handed to a model: constrain(x, ("batch", "token", "model")) says where x lies on this mesh."""
    return Constrain(mesh)


def parts(mesh: Mesh | AbstractMesh, name: str) -> int:
    """How many parts a dimension of activations is divided into on this mesh."""
    return ways(mesh, ACTIVATIONS[name])


def batch_sharding(mesh: Mesh | AbstractMesh) -> NamedSharding:
    """Rows of a batch over replica × data × fsdp, for columns of any rank."""
    return NamedSharding(mesh, P(BATCH))


def readable(tree: Any) -> str:
    """Shardings or specs as text: one line per leaf, its path and the mesh axis of each dimension (`-` is none)."""
    lines = [(_text(path), getattr(leaf, "spec", leaf)) for path, leaf in jax.tree.leaves_with_path(tree)]
    width = max(len(path) for path, _ in lines)
    return "\n".join(f"{path:<{width}}  {' '.join(map(_axis_text, spec)) or 'replicated'}" for path, spec in lines)


def _choices(path, shape, rules):
    if math.prod(shape) == 1:
        return [P()]
    for pattern, *choices in rules:
        if re.search(rf"(^|/)({pattern})$", path):
            return choices if len(choices[0]) <= len(shape) else [P()]
    raise ConfigError(
        f"no sharding rule matches the parameter {path!r} of shape {shape}; add (pattern, PartitionSpec) for it to the "
        "rules, with P() where every device should hold all of it."
    )


def _is_in_tiles(shape, spec, mesh):
    return all(shape[dim] % (TILE * ways(mesh, _tuple(axes))) == 0 for dim, axes in enumerate(spec) if axes)


def _check_divides(path, shape, spec, mesh):
    for dim, axes in enumerate(spec):
        cut = ways(mesh, _tuple(axes))
        require(
            shape[dim] % cut == 0,
            f"dimension {dim} of {path!r}, shape {shape}, does not divide over mesh axis {_axis_text(axes)!r} of size "
            f"{cut}; valid sizes up to {mesh.size} are {[n for n in range(1, mesh.size + 1) if shape[dim] % n == 0]} "
            "(a vocabulary can be padded with model.vocab_multiple).",
        )


def _text(path):
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _tuple(axes):
    return () if axes is None else axes if isinstance(axes, tuple) else (axes,)


def _axis_text(axes):
    return "+".join(_tuple(axes)) or "-"
