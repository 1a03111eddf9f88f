"""Sums of per-token values by part of the objective and by category, made inside the step.

Labels are flat ids, family offset + label. Every family is a partition, so each one's sums add up to the same total.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class CategorySums:
    """Sum of the values, and number of tokens, of each category in each part."""

    total_PC: Float[Array, "P C"]
    count_PC: Int[Array, "P C"]


def category_sums(
    labels_MBT: Int[Array, "M B T"],
    part_B: Int[Array, "B"],
    value_BT: Float[Array, "B T"],
    is_counted_BT: Bool[Array, "B T"],
    *,
    parts: int,
    categories: int,
    scatter: bool | None = None,
) -> CategorySums:
    """Adds up the values of the counted tokens: first each row, then the rows of a part, which keeps float32 precise.

    `scatter` adds token by token, as suits a CPU; otherwise every label is compared with every category, as suits
    accelerators and rows spread over devices. None chooses by the default backend.
    """
    if scatter is None:
        scatter = jax.default_backend() == "cpu"
    by_row = _scattered if scatter else _compared
    total_BC, count_BC = by_row(labels_MBT, jnp.where(is_counted_BT, value_BT, 0), is_counted_BT, categories)
    is_part_PB1 = (jnp.arange(parts)[:, None] == part_B)[..., None]
    return CategorySums(*(jnp.where(is_part_PB1, x_BC, 0).sum(1) for x_BC in (total_BC, count_BC)))


def _scattered(labels_MBT, value_BT, is_counted_BT, categories):
    rows = value_BT.shape[0]
    ids_MBT = labels_MBT + categories * jnp.arange(rows)[:, None]

    def add(x_BT):
        x_MBT = jnp.broadcast_to(x_BT, ids_MBT.shape)
        return jax.ops.segment_sum(x_MBT.ravel(), ids_MBT.ravel(), rows * categories).reshape(rows, categories)

    return add(value_BT), add(is_counted_BT.astype(jnp.int32))


def _compared(labels_MBT, value_BT, is_counted_BT, categories):
    is_label_MBTC = labels_MBT[..., None] == jnp.arange(categories)

    def add(x_BT):
        return jnp.where(is_label_MBTC, x_BT[..., None], 0).sum((0, 2))

    return add(value_BT), add(is_counted_BT.astype(jnp.int32))
