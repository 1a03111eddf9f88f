"""Sums of per-token values by category, and by part of the objective or by cluster, made inside the step.

Labels are flat ids, family offset + label. Every family is a partition, so each one's sums add up to the same total.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

LIMIT = 2.0**13
"""Values of `cluster_sums` stay within ± this."""
UNITS = (2.0**-1, 2.0**-15, 2.0**-29)
"""What the integers count into which it cuts a value."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class CategorySums:
    """Sum of each of K values (or of one), and number of tokens, of each category in each part or cluster P."""

    total_PC: Float[Array, "*K P C"]
    count_PC: Int[Array, "P C"]


def category_sums(
    labels_MBT: Int[Array, "M B T"],
    part_BX: Int[Array, "B ..."],
    value_BT: Float[Array, "B T"],
    is_counted_BT: Bool[Array, "B T"],
    *,
    parts: int,
    categories: int,
    scatter: bool | None = None,
) -> CategorySums:
    """Adds up the values of the counted tokens: first each row, then the rows of a part, which keeps float32 precise.

    A row belongs to one part, or each of X equal stretches of it to a part of its own.

    `scatter` adds token by token, as suits a CPU; otherwise every label is compared with every category, as suits
    accelerators and rows spread over devices. None chooses by the default backend.
    """
    if scatter is None:
        scatter = jax.default_backend() == "cpu"
    by_row, part_B = _scattered if scatter else _compared, part_BX.reshape(-1)
    labels_MBT, value_BT, is_counted_BT = (
        x.reshape(*x.shape[:-2], part_B.size, -1) for x in (labels_MBT, value_BT, is_counted_BT)
    )
    total_BC, count_BC = by_row(labels_MBT, jnp.where(is_counted_BT, value_BT, 0), is_counted_BT, categories)
    is_part_PB1 = (jnp.arange(parts)[:, None] == part_B)[..., None]
    return CategorySums(*(jnp.where(is_part_PB1, x_BC, 0).sum(1) for x_BC in (total_BC, count_BC)))


def cluster_sums(
    labels_MBT: Int[Array, "M B T"],
    cluster_BT: Int[Array, "B T"],
    values_KBT: Float[Array, "K B T"],
    is_counted_BT: Bool[Array, "B T"],
    *,
    clusters: int,
    categories: int,
) -> CategorySums:
    """Adds up K values of the counted tokens by the document or split group, numbered from 0, that each belongs to.

    Values are cut into integers whose sums are exact and are rounded to float32 at the end: neither the order of tokens
    nor the mesh changes a bit. A value that is NaN or not within ±LIMIT makes its totals NaN. A batch must have fewer
    than 2^16 tokens in any cluster and category.
    """
    is_counted_BT = is_counted_BT & (cluster_BT >= 0) & (cluster_BT < clusters)
    values_KBT = jnp.where(is_counted_BT, values_KBT, 0)
    is_wrong_BT = ~(jnp.abs(values_KBT) < LIMIT).all(0)
    both_BT2 = jnp.stack([is_wrong_BT, is_counted_BT], -1)
    columns_BTQ = jnp.concatenate([*_cut(jnp.moveaxis(values_KBT, 0, -1)), both_BT2], -1).astype(jnp.int32)
    cells = clusters * categories
    ids_MBT = jnp.where(is_counted_BT, cluster_BT * categories + labels_MBT, cells)
    columns_MBTQ = jnp.broadcast_to(columns_BTQ, (*ids_MBT.shape, columns_BTQ.shape[-1]))
    sums_NQ = jnp.zeros((cells, columns_BTQ.shape[-1]), jnp.int32).at[ids_MBT].add(columns_MBTQ, mode="drop")
    sums_QNC = sums_NQ.T.reshape(-1, clusters, categories)
    wrong_NC, count_NC = sums_QNC[-2:]
    coarse_KNC, middle_KNC, fine_KNC = (
        part_KNC * unit for part_KNC, unit in zip(jnp.split(sums_QNC[:-2], len(UNITS)), UNITS, strict=True)
    )
    return CategorySums(jnp.where(wrong_NC > 0, jnp.nan, fine_KNC + middle_KNC + coarse_KNC), count_NC)


def _cut(values_BTK):
    """Integers of every unit, whose sum in units is the value to 2^-30; none is larger than 2^14."""
    rest_BTK, parts = jnp.where(jnp.abs(values_BTK) < LIMIT, values_BTK, 0), []
    for unit in UNITS:
        part_BTK = jnp.round(rest_BTK / unit)
        rest_BTK = rest_BTK - part_BTK * unit
        parts.append(part_BTK)
    return parts


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
