"""Sums of per-token values by part of the objective and by category, inside the step, and their exact running totals.

Labels are flat ids, family offset + label. Every family is a partition, so each one's sums add up to the same total.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

_WORD = 30
"""Bits of the low word of a count, so that two of them still add up within int32."""


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
    """Adds up the values of counted tokens. Rows are summed first, then rows of a part, which keeps float32 precise.

    `scatter` adds token by token, as suits a CPU; the other way compares every label with every category, as suits
    accelerators and sharded rows. None chooses by the default backend.
    """
    if scatter is None:
        scatter = jax.default_backend() == "cpu"
    by_row = _scattered if scatter else _compared
    total_BC, count_BC = by_row(labels_MBT, jnp.where(is_counted_BT, value_BT, 0), is_counted_BT, categories)
    is_part_PB = jnp.arange(parts)[:, None] == part_B
    return CategorySums(_rows_of(is_part_PB, total_BC), _rows_of(is_part_PB, count_BC))
