"""What a sampler has written so far: a rectangle of ids, of which each row's first `count_B` stand for good."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

NO_EOS = -1
"""In place of an id that ends a text, where there is none."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Written:
    """Attributes: tokens_BN: new ids, from the left. count_B: how many there are. is_done_B: whether no more follow."""

    tokens_BN: Int[Array, "B N"]
    count_B: Int[Array, "B"]
    is_done_B: Bool[Array, "B"]


def nothing(rows: int, tokens: int) -> Written:
    """Room for so many tokens in each row."""
    return Written(jnp.zeros((rows, tokens), jnp.int32), jnp.zeros(rows, jnp.int32), jnp.zeros(rows, bool))


def add(written: Written, new_BT: Int[Array, "B T"], count_B: Int[Array, "B"], eos: int) -> Written:
    """Writes the first `count_B` new tokens behind the others, up to EOS and as long as there is room."""
    T, room = new_BT.shape[1], written.tokens_BN.shape[1]
    is_eos_BT = (new_BT == eos) & (jnp.arange(T) < count_B[:, None])
    has_ended_B = is_eos_BT.any(1)
    count_B = jnp.where(has_ended_B, jnp.argmax(is_eos_BT, axis=1) + 1, count_B)
    count_B = jnp.where(written.is_done_B, 0, jnp.minimum(count_B, room - written.count_B)).astype(jnp.int32)
    place_BN = jnp.arange(room) - written.count_B[:, None]
    is_new_BN = (place_BN >= 0) & (place_BN < count_B[:, None])
    moved_BN = jnp.take_along_axis(new_BT, jnp.clip(place_BN, 0, T - 1), axis=1)
    total_B = written.count_B + count_B
    return Written(
        tokens_BN=jnp.where(is_new_BN, moved_BN, written.tokens_BN),
        count_B=total_B,
        is_done_B=written.is_done_B | has_ended_B | (total_B == room),
    )
