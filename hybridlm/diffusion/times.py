"""Times spread evenly over the whole batch, which lowers the variance of a loss that integrates over time.

n slots share one uniform offset and each takes another n-th of (0, 1] (VDM, arXiv:2107.00630).
"""

import math

import jax
from jaxtyping import Array, Float, Key


def low_discrepancy(key: Key[Array, ""], shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Times in (0, 1], exactly one of them in each of n equal bins, where n is the number of slots in `shape`.

    Every slot alone is uniform on (0, 1]. Slots are dealt out at random, because a lattice in batch order would tie the
    noise level to whatever else is ordered in a batch: its objectives, its sources, the blocks along one row.
    Ask once for all slots of a step, rows × blocks × accumulated microbatches, and hand out parts: draws made per
    device or per microbatch are not even over the batch. t = 0 never occurs, so 1/t is finite without a clip.
    """
    offset_key, order_key = jax.random.split(key)
    slots = math.prod(shape)
    bins = jax.random.permutation(order_key, slots)
    offset = 1 - jax.random.uniform(offset_key)
    return ((bins + offset) / slots).reshape(shape)
