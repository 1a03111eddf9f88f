"""What a sampler asks of a network: hidden states under any mixing function, and the map from them to logits."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hybridlm.facts import head as heads
from hybridlm.facts.head import Head


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Network:
    """Parameters, and the two functions that read them.

    Attributes:
      apply: (params, tokens_BT, facts, mix, state=..., noise_BT=...) -> (hidden_BTD, state), as `decoder.apply`.
      head: params -> Head.
    """

    params: Any
    apply: Callable[..., tuple[Array, Any]] = dataclasses.field(metadata={"static": True})
    head: Callable[[Any], Head] = dataclasses.field(metadata={"static": True})

    def logits(self, hidden: Float[Array, "*N D"]) -> Float[Array, "*N V"]:
        """Float32 logits of hidden states."""
        return heads.logits(self.head(self.params), hidden)


def unstacked(tree: Any) -> tuple[Any, ...]:
    """One tree per layer, of leaves [L, ...]; none of a tree without leaves."""
    leaves, structure = jax.tree.flatten(tree)
    return tuple(structure.unflatten(parts) for parts in zip(*map(jnp.unstack, leaves), strict=True))


def stacked(trees: Sequence[Any]) -> Any:
    """Leaves [L, ...] of one tree per layer; XLA takes it back where the layers are then read one by one."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees) if trees else None
