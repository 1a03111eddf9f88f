"""The record of a score whatever the model: a value per token, how sure it is, what it means and what it was shown.

Kinds are never averaged together: a share of a bound is not a surprisal, and a leave-one-out value is no likelihood. So
sums are kept by kind, and a mean over tokens of several kinds or information sets is refused.
"""

import dataclasses
from typing import no_type_check

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from hybridlm.facts.kinds import ScoreKind
from hybridlm.facts.loss_inputs import Part
from hybridlm.scoring.sums import category_sums


@no_type_check  # trees of its shapes exist too
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """Attributes: value_BT: in nats. error_BT: standard error of the value, 0 where it is exact. part_B: which of
    `parts` a row belongs to. parts: name, kind and information set of each (static)."""

    value_BT: Float[Array, "B T"]
    error_BT: Float[Array, "B T"]
    part_B: Int[Array, "B"]
    parts: tuple[Part, ...] = dataclasses.field(metadata={"static": True})

    @property
    def kind_B(self) -> Int[Array, "B"]:
        """The code of each row's kind."""
        return jnp.array([part.kind for part in self.parts], jnp.int32)[self.part_B]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class ScoreSums:
    """Of one kind: sums of values and of squared standard errors, and numbers of tokens, by category."""

    total_C: Float[Array, "C"]
    variance_C: Float[Array, "C"]
    count_C: Int[Array, "C"]


def sums_by_kind(
    score: Score, labels_MBT: Int[Array, "M B T"], is_counted_BT: Bool[Array, "B T"], *, categories: int
) -> dict[ScoreKind, ScoreSums]:
    """Sums of the counted tokens for each kind present; errors of different tokens are taken as independent."""

    def of(kind):
        is_kind_BT = is_counted_BT & (score.kind_B == kind)[:, None]
        part_B, counts = jnp.zeros_like(score.part_B), {"parts": 1, "categories": categories}
        value, variance = (
            category_sums(labels_MBT, part_B, x_BT, is_kind_BT, **counts)
            for x_BT in (score.value_BT, score.error_BT**2)
        )
        return ScoreSums(value.total_PC[0], variance.total_PC[0], value.count_PC[0])

    return {kind: of(kind) for kind in sorted({part.kind for part in score.parts})}


def mean(score: Score, is_counted_BT: Bool[Array, "B T"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Mean value per counted token and its standard error; NaN without any token.

    Raises ValueError where the tokens differ in kind or in what their predictions saw.
    """
    _check_alike(score.parts)
    count = is_counted_BT.sum()
    total = jnp.where(is_counted_BT, score.value_BT, 0).sum()
    variance = jnp.where(is_counted_BT, score.error_BT**2, 0).sum()
    return total / count, jnp.sqrt(variance) / count


def _check_alike(parts: tuple[Part, ...]) -> None:
    if len({(part.kind, part.sees) for part in parts}) > 1:
        found = "; ".join(f"{part.name!r} is {part.kind.label} and sees {part.sees}" for part in parts)
        raise ValueError(
            f"values that mean different things have no common mean: {found}. Score each part by itself, or take "
            "sums_by_kind and report every kind in a column of its own."
        )
