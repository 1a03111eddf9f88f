"""Even times for groups of tokens whose number is known only at run time: documents or blocks over a whole batch.

Group n gets frac(u + n φ) with φ the golden ratio and one shared uniform u: any run of consecutive groups is spread
almost evenly over (0, 1], whatever their number, and each alone is uniform (a Kronecker sequence; Niederreiter 1992,
ch. 3).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

GOLDEN = 0x9E3779B9
"""2^32 (φ - 1), rounded to odd: multiples modulo 2^32 are the sequence, without rounding however long it grows."""


def numbers(group_BT: Int[Array, "B T"], is_member_BT: Bool[Array, "B T"]) -> Int[Array, "B T"]:
    """Numbers the groups of the whole batch 0, 1, 2, ... in row order; a group is a run of equal ids along a row."""
    is_new_BT = jnp.pad(group_BT[:, 1:] != group_BT[:, :-1], ((0, 0), (1, 0)), constant_values=True)
    starts_BT = (is_new_BT & is_member_BT).astype(jnp.int32)
    return jnp.cumsum(starts_BT.reshape(-1)).reshape(group_BT.shape) - 1


def even_times(
    key: Key[Array, ""], number_BT: Int[Array, "B T"], *, shift: Float[Array, ""] | float = 0.0
) -> Float[Array, "B T"]:
    """A time in (0, 1] for every group, by its number over the global batch.

    `shift` in [0, 1) turns all times by the same amount: the K samples of an estimate, shifted by k/K, are even for
    each group by itself.
    """
    turn = jnp.asarray(shift * 2.0**24, jnp.uint32) << 8
    turned_BT = jax.random.bits(key) + turn + number_BT.astype(jnp.uint32) * jnp.uint32(GOLDEN)
    return 1 - (turned_BT >> 8).astype(jnp.float32) * 2.0**-24
