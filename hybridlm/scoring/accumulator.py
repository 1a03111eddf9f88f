"""Running totals that stay exact where float32 and int32 would not: past 2^24 and 2^31.

A sum is a float32 and, beside it, the sum of what rounding took from it (Knuth's two-sum); a count is two int32 words.
"""

import dataclasses
from typing import no_type_check

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from hybridlm.scoring.sums import CategorySums

WORD = 30
"""Bits of the low word of a count, so that a batch may add as many tokens again before it carries."""


@no_type_check  # a training state holds it, and so do trees of its shapes and shardings
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Accumulator:
    """total = rounded + lost; count = carried · 2^30 + counted."""

    rounded_PC: Float[Array, "*K P C"]
    lost_PC: Float[Array, "*K P C"]
    carried_PC: Int[Array, "P C"]
    counted_PC: Int[Array, "P C"]


def empty(parts: int, categories: int, values: tuple[int, ...] = ()) -> Accumulator:
    """Nothing summed yet; `values` is the shape of the sums of one part and category, () for a single one."""
    cells = (parts, categories)
    # a buffer each: what is donated must not be there twice
    floats = [jnp.zeros((*values, *cells)) for _ in range(2)]
    return Accumulator(*floats, *(jnp.zeros(cells, jnp.int32) for _ in range(2)))


def add(accumulator: Accumulator, sums: CategorySums) -> Accumulator:
    """Adds the sums of one batch of fewer than 2^30 tokens."""
    rounded_PC = accumulator.rounded_PC + sums.total_PC
    added_PC = rounded_PC - accumulator.rounded_PC
    lost_PC = (accumulator.rounded_PC - (rounded_PC - added_PC)) + (sums.total_PC - added_PC)
    counted_PC = accumulator.counted_PC + sums.count_PC
    return Accumulator(
        rounded_PC,
        accumulator.lost_PC + lost_PC,
        accumulator.carried_PC + (counted_PC >> WORD),
        counted_PC & (2**WORD - 1),
    )


def read(accumulator: Accumulator) -> tuple[Float[np.ndarray, "*K P C"], Int[np.ndarray, "P C"]]:
    """Totals in float64 and counts in int64, on the host."""
    total_PC = np.asarray(accumulator.rounded_PC, np.float64) + np.asarray(accumulator.lost_PC, np.float64)
    count_PC = np.asarray(accumulator.carried_PC, np.int64) << WORD | np.asarray(accumulator.counted_PC, np.int64)
    return total_PC, count_PC
