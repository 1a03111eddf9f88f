"""The absorbing process: a noised token becomes the mask token and stays it.

Two ways to draw it: independently with probability 1 − α(t), weighted −α′/(1−α), or exactly l of L, weighted L/l.
Both bounds are equal, token by token (ARDM, arXiv:2110.02037); the second varies less (LLaDA, arXiv:2502.09992).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from hybridlm.diffusion.schedules import Schedule


def corrupt(
    key: Key[Array, ""],
    tokens_BT: Int[Array, "B T"],
    t_BT: Float[Array, "B T"],
    schedule: Schedule,
    mask_id: int,
    is_maskable_BT: Bool[Array, "B T"],
) -> tuple[Int[Array, "B T"], Bool[Array, "B T"]]:
    """Masks each maskable token with probability 1 − α(t); returns the noisy tokens and who is masked."""
    uniform_BT = jax.random.uniform(key, tokens_BT.shape)
    is_masked_BT = is_maskable_BT & (uniform_BT < schedule.one_minus_alpha(t_BT))
    return jnp.where(is_masked_BT, mask_id, tokens_BT), is_masked_BT


def fixed_count(
    key: Key[Array, ""],
    group_BT: Int[Array, "B T"],
    is_maskable_BT: Bool[Array, "B T"],
    level_BT: Float[Array, "B T"],
) -> tuple[Bool[Array, "B T"], Int[Array, "B T"], Int[Array, "B T"]]:
    """Masks exactly l = ceil(u·L) of the L maskable tokens of every group, each such set being equally likely.

    A group is a run of equal ids along a row (a document, a block); u, the same throughout a group, lies in (0, 1], and
    uniform u makes l uniform on 1..L. Returns who is masked, and l and L of each token's group: a masked token's NLL
    weighs L/l. Where nothing is maskable both are 0.
    """
    run_BT = _runs(group_BT)
    size_BT = _per_run(is_maskable_BT.astype(jnp.int32), run_BT)
    count_BT = jnp.minimum(jnp.ceil(level_BT * size_BT).astype(jnp.int32), size_BT)
    return is_maskable_BT & (_shuffled_rank(key, run_BT, is_maskable_BT) < count_BT), count_BT, size_BT


def _runs(group_BT):
    """Numbers the runs of equal ids along each row 0, 1, 2, ..."""
    is_new_BT = group_BT[:, 1:] != group_BT[:, :-1]
    return jnp.pad(jnp.cumsum(is_new_BT, axis=1, dtype=jnp.int32), ((0, 0), (1, 0)))


def _per_run(value_BT, run_BT):
    """Sum over each token's run."""
    return jax.vmap(lambda value_T, run_T: jax.ops.segment_sum(value_T, run_T, value_T.size)[run_T])(value_BT, run_BT)


def _shuffled_rank(key, run_BT, is_maskable_BT):
    """Place of each token in a random order of its run in which maskable tokens come first."""
    uniform_BT = jnp.where(is_maskable_BT, jax.random.uniform(key, run_BT.shape), 1)
    index_BT = jnp.broadcast_to(jnp.arange(run_BT.shape[1], dtype=jnp.int32), run_BT.shape)
    _, _, order_BT = jax.lax.sort((run_BT, uniform_BT, index_BT), num_keys=2)
    # Runs are contiguous and their numbers rise, so sorting leaves every run where it was and shuffles inside it.
    is_first_BT = jnp.diff(run_BT, axis=1, prepend=-1) != 0
    start_BT = jax.lax.cummax(jnp.where(is_first_BT, index_BT, 0), axis=1)
    return jnp.argsort(order_BT, axis=1) - start_BT
