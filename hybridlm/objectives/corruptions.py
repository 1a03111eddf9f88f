"""Clean tokens in, noisy tokens out, with what each prediction weighs in the bound or the loss."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from hybridlm.config.objective import Objective
from hybridlm.diffusion import absorbing, schedules, uniform
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
        case "none" | "spans":
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
    if objective.corruption == "uniform":
        return _uniform(objective, text, is_target_BT, number_BT, ids, key, sample)
    if sample is None:
        return _continuous(objective, text, is_target_BT, number_BT, ids, key)
    return _fixed_count(text, is_target_BT, group_BT, number_BT, ids, key, sample)


def _continuous(objective, text, is_target_BT, number_BT, ids, key) -> Corrupted:
    """Each token is masked with probability 1 - alpha(t) and weighs -alpha'/(1 - alpha), one t a group.

    Clipped rates are an even share of fewer times, so that a token still weighs 1 on average (BD3-LM, 2503.09573).
    """
    time_key, mask_key = jax.random.split(key)
    schedule = schedules.from_name(objective.schedule)
    low, high = objective.rates or (0.0, 1.0)
    t_BT = low + (high - low) * even_times(time_key, number_BT)
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


def _uniform(objective, text, is_target_BT, number_BT, ids, key, sample) -> Corrupted:
    """Each token becomes any one with probability 1 - alpha(t); all weigh -alpha'/(1 - alpha), noisy or not."""
    time_key, noise_key = jax.random.split(key)
    schedule, ordinary_N = schedules.from_name(objective.schedule), jnp.asarray(ids.ordinary, jnp.int32)
    if sample is not None:
        schedules.check_ends(schedule, objective.schedule)
        noise_key = jax.random.fold_in(noise_key, sample.number)
    t_BT = even_times(time_key, number_BT, shift=0.0 if sample is None else sample.number / sample.of)
    noisy_BT, _ = uniform.corrupt(noise_key, text.tokens_BT, t_BT, schedule, ordinary_N, is_target_BT)
    weight_BT = jnp.where(is_target_BT, schedules.likelihood_weight(schedule, t_BT), 0.0)
    return Corrupted(noisy_BT, weight_BT, schedule.one_minus_alpha(t_BT), is_target_BT)


def _masked_lm(objective, text, is_target_BT, ids, key) -> Corrupted:
    """Selected runs are predicted; most tokens are masked, some become a random token, some stay as they are."""
    select_key, fate_key, random_key, run_key = jax.random.split(key, 4)
    level_BT = jax.random.uniform(select_key, is_target_BT.shape)
    run_BT = _runs(run_key, is_target_BT.shape, round(2 * objective.span) - 1)
    is_selected_BT = is_target_BT & (jnp.take_along_axis(level_BT, run_BT, axis=1) < objective.rate)
    fate_BT = jax.random.uniform(fate_key, is_target_BT.shape)
    random_BT = jax.random.choice(random_key, jnp.asarray(ids.ordinary, jnp.int32), is_target_BT.shape)
    changed_BT = jnp.where(fate_BT < objective.keep + objective.random, random_BT, ids.mask)
    changed_BT = jnp.where(fate_BT < objective.keep, text.tokens_BT, changed_BT)
    noise_BT = jnp.full(is_target_BT.shape, objective.rate, jnp.float32)
    inputs_BT = jnp.where(is_selected_BT, changed_BT, text.tokens_BT)
    return Corrupted(inputs_BT, is_selected_BT.astype(jnp.float32), noise_BT, is_selected_BT)


def _runs(key, shape, longest):
    """Cuts each row into runs of 1 to `longest` tokens, all lengths alike, and numbers them from 0."""
    length_BT = jax.random.randint(key, shape, 1, longest + 1)
    start_BT = jnp.cumsum(length_BT, axis=1) - length_BT
    opens_BT = jax.vmap(lambda start_T: jnp.zeros_like(start_T).at[start_T].set(1, mode="drop"))(start_BT)
    return jnp.cumsum(opens_BT, axis=1) - 1
