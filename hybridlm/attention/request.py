"""What is known before any number is computed: the mask, the tokens' order, the platform and the shapes."""

import dataclasses

import jax
import jax.numpy as jnp

from hybridlm.facts.tokens import TokenFacts, names
from hybridlm.masks import Mask


@dataclasses.dataclass(frozen=True)
class Request:
    """Everything a backend decides by.

    Attributes:
      mask: who may attend to whom.
      self_attention: True where queries and keys are the same tokens.
      in_order: True where `index` is 0, 1, 2, ... along every row.
      facts: names of the facts at hand.
      platform: "cpu", "gpu" or "tpu".
      dtype: of q, k and v. head_width: K.
    """

    mask: Mask
    self_attention: bool
    in_order: bool
    facts: tuple[str, ...]
    platform: str
    dtype: jnp.dtype
    head_width: int


def make(
    mask: Mask, q_facts: TokenFacts, k_facts: TokenFacts | None, platform: str | None, dtype, head_width: int
) -> Request:
    """The request for these tokens, refused at once if the mask reads a fact they do not carry."""
    for facts in (q_facts, *(() if k_facts is None else (k_facts,))):
        missing = set(mask.facts) - set(names(facts))
        if missing:
            raise ValueError(
                f"mask {mask!r} reads {', '.join(sorted(missing))}, but the tokens carry {', '.join(names(facts))}. "
                "Any integer column of the batch can be a fact: add it to the batch under that name."
            )
    return Request(
        mask=mask,
        self_attention=k_facts is None,
        in_order=q_facts.in_order,
        facts=names(q_facts),
        platform=platform or jax.default_backend(),
        dtype=jnp.dtype(dtype),
        head_width=head_width,
    )
