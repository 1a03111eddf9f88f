"""Factors on the training loss of single tokens, by label or frequency, that may change over the run.

Over all targets that an objective could have in a step, drawn or not, their mean is made 1: the total weight of the
step stays what it was, in expectation over the noise, and so does the ratio of objectives. Scores never see them.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from hybridlm.categories.filters import Filter
from hybridlm.categories.tables import Tables, by_family
from hybridlm.config.errors import require
from hybridlm.config.experiment import Experiment
from hybridlm.config.token_weights import TokenWeight
from hybridlm.evaluation.task import Task
from hybridlm.training import filtered


def resolve(experiment: Experiment, task: Task) -> tuple[tuple[TokenWeight, Filter], ...]:
    """The weights of a config with their filters; raises ConfigError for a frequency that nobody has counted."""
    weights = experiment.training.token_weights
    for weight in weights:
        require(
            task.has_counts or not weight.power,
            f"training.token_weights: the weight of {weight.tokens!r} has power={weight.power} of a frequency, and "
            "these data were prepared without counts of tokens; name tokens by their labels instead.",
        )
    return tuple(zip(weights, filtered.of_weights(experiment, task.tables.families), strict=True))


def factors(
    weights: Sequence[tuple[TokenWeight, Filter]],
    tables: Tables,
    flat_MBT: Int[Array, "M B T"],
    rarity_BT: Float[Array, "B T"],
    progress: Float[Array, ""],
) -> Float[Array, "B T"]:
    """The factor of each target, unnormalised; `rarity_BT` is its -log frequency, `progress` rises from 0 to 1."""
    labels, total_BT = by_family(tables, flat_MBT), jnp.ones_like(rarity_BT)
    for weight, wanted in weights:
        first, last = weight.between
        share = jnp.clip((progress - first) / (last - first), 0, 1)
        strength = weight.strength[0] + (weight.strength[1] - weight.strength[0]) * share
        factor_BT = weight.factor**strength * jnp.exp(weight.power * strength * rarity_BT)
        total_BT = total_BT * jnp.where(wanted.select(labels, tables.families), factor_BT, 1)
    return total_BT


def normalised(
    factor_BT: Float[Array, "B T"], is_target_BT: Bool[Array, "B T"], part_BX: Int[Array, "B X"], parts: int
) -> Float[Array, "B T"]:
    """The factors over their mean among the targets of each part of a mixture; a mean of 0 is left alone."""
    part_BT = jnp.repeat(part_BX, factor_BT.shape[1] // part_BX.shape[1], axis=1)
    is_part_PBT = is_target_BT & (part_BT == jnp.arange(parts)[:, None, None])
    count_P = is_part_PBT.sum((1, 2))
    mean_P = jnp.where(is_part_PBT, factor_BT, 0).sum((1, 2)) / jnp.maximum(count_P, 1)
    return factor_BT / jnp.where(mean_P > 0, mean_P, 1)[part_BT]
