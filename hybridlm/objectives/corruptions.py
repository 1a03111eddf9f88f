"""Clean tokens in, noisy tokens out, with what each prediction weighs in the bound or the loss."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from hybridlm.config.objective import Objective
from hybridlm.diffusion import absorbing, schedules
from hybridlm.diffusion.levels import even_times, numbers
from hybridlm.objectives.text import Ids, Text


@dataclasses.dataclass(frozen=True)
class Sample:
    """Number `number` of `of` Monte-Carlo samples of a bound, in its fixed-count form.

    Exactly l of the L tokens of a group are masked and weigh L/l, with l spread evenly over the samples of every group.
    """

    number: int | Int[Array, ""]
    of: int


class Corrupted(NamedTuple):
    """Attributes:
    inputs_BT: what the network reads. weight_BT: what each token's NLL weighs, 0 where it is not predicted.
    noise_BT: share of its group that is replaced, 1 - alpha(t).
    is_counted_BT: tokens that an average runs over, predicted in this draw or not.
    """

    inputs_BT: Int[Array, "B T"]
    weight_BT: Float[Array, "B T"]
    noise_BT: Float[Array, "B T"]
    is_counted_BT: Bool[Array, "B T"]


def corrupt(
    objective: Objective,
    text: Text,
    is_target_BT: Bool[Array, "B T"],
    block_BT: Int[Array, "B T"],
    ids: Ids,
    key: Key[Array, ""],
    sample: Sample | None,
) -> Corrupted:
    """Corrupts the target tokens of a text. Without a `sample` times are continuous, as in training."""
    match objective.corruption:
        case "none":
            weight_BT = is_target_BT.astype(jnp.float32)
            return Corrupted(text.tokens_BT, weight_BT, jnp.zeros_like(weight_BT), is_target_BT)
        case "all":
            weight_BT = is_target_BT.astype(jnp.float32)
            masked_BT = jnp.where(is_target_BT, ids.mask, text.tokens_BT)
            return Corrupted(masked_BT, weight_BT, jnp.ones_like(weight_BT), is_target_BT)
        case "masked_lm":
            return _masked_lm(objective, text, is_target_BT, ids, key)
    group_BT = block_BT if objective.layout == "blocks" else text.start_BT
    number_BT = numbers(group_BT, text.segment_BT > 0)
    if sample is None:
        return _continuous(objective, text, is_target_BT, number_BT, ids, key)
    return _fixed_count(text, is_target_BT, group_BT, number_BT, ids, key, sample)


def _continuous(objective, text, is_target_BT, number_BT, ids, key) -> Corrupted:
    """Each token is masked with probability 1 - alpha(t) and weighs -alpha'/(1 - alpha), one t a group."""
    time_key, mask_key = jax.random.split(key)
    schedule = schedules.from_name(objective.schedule)
    t_BT = even_times(time_key, number_BT)
    noisy_BT, is_masked_BT = absorbing.corrupt(mask_key, text.tokens_BT, t_BT, schedule, ids.mask, is_target_BT)
    weight_BT = jnp.where(is_masked_BT, schedules.likelihood_weight(schedule, t_BT), 0.0)
    return Corrupted(noisy_BT, weight_BT, schedule.one_minus_alpha(t_BT), is_target_BT)


def _fixed_count(text, is_target_BT, group_BT, number_BT, ids, key, sample) -> Corrupted:
    """Exactly l of the L targets of a group are masked and weigh L/l; the integral over t, drawn with less variance."""
    level_key, mask_key = jax.random.split(key)
    level_BT = even_times(level_key, number_BT, shift=sample.number / sample.of)
    mask_key = jax.random.fold_in(mask_key, sample.number)
    is_masked_BT, count_BT, size_BT = absorbing.fixed_count(mask_key, group_BT, is_target_BT, level_BT)
    noisy_BT = jnp.where(is_masked_BT, ids.mask, text.tokens_BT)
    weight_BT = jnp.where(is_masked_BT, size_BT / jnp.maximum(count_BT, 1), 0.0)
    return Corrupted(noisy_BT, weight_BT, count_BT / jnp.maximum(size_BT, 1), is_target_BT)


def _masked_lm(objective, text, is_target_BT, ids, key) -> Corrupted:
    """Selected tokens are predicted; most are masked, some become a random token, some stay as they are."""
    select_key, fate_key, random_key = jax.random.split(key, 3)
    is_selected_BT = is_target_BT & (jax.random.uniform(select_key, is_target_BT.shape) < objective.rate)
    fate_BT = jax.random.uniform(fate_key, is_target_BT.shape)
    random_BT = jax.random.choice(random_key, jnp.asarray(ids.ordinary, jnp.int32), is_target_BT.shape)
    changed_BT = jnp.where(fate_BT < objective.keep + objective.random, random_BT, ids.mask)
    changed_BT = jnp.where(fate_BT < objective.keep, text.tokens_BT, changed_BT)
    noise_BT = jnp.full(is_target_BT.shape, objective.rate, jnp.float32)
    inputs_BT = jnp.where(is_selected_BT, changed_BT, text.tokens_BT)
    return Corrupted(inputs_BT, is_selected_BT.astype(jnp.float32), noise_BT, is_selected_BT)
