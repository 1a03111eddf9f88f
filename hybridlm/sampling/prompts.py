"""Prompts of different lengths as one rectangle: the shorter ones are padded on the left, so that all end together.

A row is one document: the token in slot n of a row that starts at slot s has position n - s, whatever the others do.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from hybridlm.facts.tokens import TokenFacts, from_columns


def left_padded(prompts: Sequence[Sequence[int]]) -> tuple[Int[np.ndarray, "B T"], Int[np.ndarray, "B"]]:
    """The prompts' ids, 0 before them, and the slot that each starts at."""
    length = max(map(len, prompts))
    tokens_BT = np.array([[0] * (length - len(prompt)) + list(prompt) for prompt in prompts], np.int32)
    return tokens_BT, np.array([length - len(prompt) for prompt in prompts], np.int32)


def facts_at(
    slot_BT: Int[Array, "#B T"],
    start_B: Int[Array, "B"],
    *,
    prompt_slots: int | Int[Array, ""],
    block_size: int = 1,
    stream: int = 0,
) -> TokenFacts:
    """Facts of the tokens in these slots; before a row's start is padding.

    A block is named by the position it starts at, so that blocks of any size compare. The prompt, which ends before
    slot `prompt_slots`, is the prefix.
    """
    start_B1 = jnp.asarray(start_B, jnp.int32)[:, None]
    position_BT = slot_BT - start_B1
    is_token_BT = (position_BT >= 0).astype(jnp.int32)
    position_BT = jnp.maximum(position_BT, 0)
    return from_columns(
        is_token_BT,
        position_BT,
        index_BT=position_BT,
        block_BT=position_BT // block_size * block_size,
        stream_BT=jnp.full_like(position_BT, stream),
        extra={"prefix_length": jnp.broadcast_to(prompt_slots - start_B1, position_BT.shape)},
    )
