"""Prompts as rows for a diffusion sampler: each begins at slot 0, and masked tokens to be written follow it.

Prompts that are continued token by token end together; here they begin together, as blocks are counted from the start.
"""

import jax.numpy as jnp
from jaxtyping import Array, Int

from hybridlm.facts.tokens import TokenFacts, along_row, from_columns


def continued(
    prompts_BP: Int[Array, "B P"], start_B: Int[Array, "B"], new: int, mask_id: int, *, block_size: int = 1
) -> tuple[Int[Array, "B T"], Int[Array, "B"]]:
    """Rows of prompts that were padded on the left, `new` masked tokens behind each and more to the end of a block, and
    where the rows end; 0 stands there.

    A prompt may hold masked tokens itself: gaps, which are written too.
    """
    rows, most = prompts_BP.shape
    length_B = most - start_B
    end_B = -(-(length_B + new) // block_size) * block_size
    slot_BT = along_row((rows, -(-(most + new) // block_size) * block_size))
    moved_BT = jnp.take_along_axis(prompts_BP, jnp.minimum(slot_BT + start_B[:, None], most - 1), axis=1)
    tokens_BT = jnp.where(slot_BT < length_B[:, None], moved_BT, mask_id)
    return jnp.where(slot_BT < end_B[:, None], tokens_BT, 0).astype(jnp.int32), end_B


def facts_of(
    shape: tuple[int, int],
    block_size: int = 1,
    *,
    first: Int[Array, ""] | int = 0,
    end_B: Int[Array, "B"] | None = None,
    stream: int = 0,
) -> TokenFacts:
    """Facts of the tokens from slot `first` on, blocks named by where they begin; from `end_B` on is padding."""
    slot_BT = along_row(shape) + first
    is_token_BT = jnp.ones(shape, bool) if end_B is None else slot_BT < end_B[:, None]
    return from_columns(
        is_token_BT.astype(jnp.int32),
        slot_BT,
        index_BT=slot_BT,
        block_BT=slot_BT // block_size * block_size,
        stream_BT=jnp.full(shape, stream, jnp.int32),
    )
