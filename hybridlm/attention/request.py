"""What is known before any number is computed: the mask, the tokens' order, the platform and the shapes."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from hybridlm.facts.tokens import TokenFacts
from hybridlm.masks import Mask
from hybridlm.masks.evaluate_dense import check


@dataclasses.dataclass(frozen=True)
class Request:
    """Everything a backend decides by.

    Attributes:
      mask: who may attend to whom.
      is_self_attention: True where queries and keys are the same tokens.
      in_order: True where `index` is 0, 1, 2, ... along every row.
      platform: "cpu", "gpu" or "tpu".
      compute_capability: of this machine's GPU, "9.0" for Hopper; where it has none and is asked about GPUs, Hopper's.
      dtype: of q, k and v. head_width: K. length: tokens of a row, T.
      pairs: of a query and a key in the batch.
    """

    mask: Mask
    is_self_attention: bool
    in_order: bool
    platform: str
    compute_capability: str
    dtype: jnp.dtype
    head_width: int
    length: int
    pairs: int


def make(
    mask: Mask, q_facts: TokenFacts, k_facts: TokenFacts | None, platform: str | None, dtype: Any, head_width: int
) -> Request:
    """The request for these tokens, refused at once if the mask reads a fact they do not carry."""
    check(mask, q_facts, q_facts if k_facts is None else k_facts)
    return Request(
        mask=mask,
        is_self_attention=k_facts is None,
        in_order=q_facts.in_order,
        platform=platform or jax.default_backend(),
        compute_capability=getattr(jax.local_devices()[0], "compute_capability", "9.0"),
        dtype=jnp.dtype(dtype),
        head_width=head_width,
        length=q_facts.shape[1],
        pairs=pairs(q_facts, k_facts),
    )


def pairs(q_facts: TokenFacts, k_facts: TokenFacts | None) -> int:
    """Of a query and a key in the batch, over all rows whose facts may differ."""
    (B, T), (A, S) = q_facts.shape, (q_facts if k_facts is None else k_facts).shape
    return max(A, B) * T * S
