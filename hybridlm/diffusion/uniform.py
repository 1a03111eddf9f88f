"""The uniform process: a noised token becomes any of the N ordinary ids alike, its own included, and may change again.

With q(j|x) = α[j=x] + (1−α)/N, q(j|p) the same of a prediction p, z the noisy token and r = q(z|x)/q(z|p), the bound is

    -log p(text) ≤ ∫ E_z Σ_tokens −α′ / (α N q(z|x)) · ( KL(q(·|x) ‖ q(·|p)) + r − 1 − log r ) dt,

a sum of two distances: the continuous-time bound of UDLM (Schiff et al., arXiv:2412.10193, §4; Duo, arXiv:2506.10892),
regrouped so that nothing large cancels. The p that minimises it is the token given all *other* noisy tokens, and with
that p the step backwards is Bayes' rule.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from hybridlm.diffusion.denoising import Times, noise_left
from hybridlm.diffusion.schedules import Schedule
from hybridlm.facts.head import NEVER
from hybridlm.facts.loss_inputs import LossInputs

_LEAST_NOISE, _LEAST_ALPHA = 1e-12, 1e-8
"""Less of either divides as this does, so that quotients and their gradients are finite."""


def corrupt(
    key: Key[Array, ""],
    tokens_BT: Int[Array, "B T"],
    t_BT: Float[Array, "B T"],
    schedule: Schedule,
    ordinary_N: Int[Array, "N"],
    is_noisable_BT: Bool[Array, "B T"],
) -> tuple[Int[Array, "B T"], Bool[Array, "B T"]]:
    """Draws each noisable token anew with probability 1 − α(t), from all ordinary ids alike; returns the noisy tokens
    and who was drawn anew, though it may have come out as it was."""
    whether_key, what_key = jax.random.split(key)
    uniform_BT = jax.random.uniform(whether_key, tokens_BT.shape)
    is_drawn_BT = is_noisable_BT & (uniform_BT < schedule.one_minus_alpha(t_BT))
    drawn_BT = jax.random.choice(what_key, ordinary_N.astype(tokens_BT.dtype), tokens_BT.shape)
    return jnp.where(is_drawn_BT, drawn_BT, tokens_BT), is_drawn_BT


@dataclasses.dataclass(frozen=True)
class TokenBound:
    """A token's part of the bound as `LossInputs.loss`: weighed by −α′/(1−α), noisy or not, its mean is its share.

    It holds where target and noisy token share a place, and `noise_BT` is 1 − α there. `size` is N.
    """

    size: int

    def f(self, p: Float[Array, "..."], noise: Float[Array, "..."]) -> Float[Array, "..."]:
        """log q(j|p) − log q(j|another id): what the loss sums over the vocabulary."""
        return jnp.log1p(self._odds(noise) * p)

    def __call__(self, reductions: Any, inputs: LossInputs) -> Float[Array, "B T"]:
        """Nats per unit of weight, from `scoring.reductions.Reductions`."""
        is_same, noise = inputs.inputs_BT == inputs.targets_BT, inputs.noise_BT
        odds, alpha = self._odds(noise), 1 - noise
        log_p_target = reductions.target_logit - reductions.log_sum_exp
        log_p_noisy = reductions.input_logit - reductions.log_sum_exp
        at_target = odds * -jnp.expm1(log_p_target) / (1 + odds * jnp.exp(log_p_target))
        elsewhere = self.f(jnp.exp(log_p_noisy), noise)
        r_less_1 = jnp.where(is_same, at_target, jnp.expm1(-elsewhere))
        log_r = jnp.where(is_same, jnp.log1p(at_target), -elsewhere)
        divergence = alpha * jnp.log1p(at_target) - noise * (reductions.sum_f - jnp.log1p(odds)) / self.size
        rarity = jnp.where(is_same, 1 + odds, 1.0)
        return (divergence + r_less_1 - log_r) / (jnp.maximum(alpha, _LEAST_ALPHA) * rarity)

    def _odds(self, noise):
        """N α / (1−α): how many times likelier the clean token is than another id, less one."""
        return self.size * (1 - noise) / jnp.maximum(noise, _LEAST_NOISE)


def posterior(
    logits_BTV: Float[Array, "B T V"],
    noisy_BT: Int[Array, "B T"],
    t: Times,
    s: Times,
    schedule: Schedule,
    ordinary_N: Int[Array, "N"],
) -> Float[Array, "B T V"]:
    """Probability of every id at time s < t, given the noisy tokens at time t."""
    p_BTV = jax.nn.softmax(_ordinary_alone(logits_BTV, ordinary_N), axis=-1)
    stays_BT, alpha_s_BT = _stays_and_alpha(p_BTV, noisy_BT, t, s, schedule, ordinary_N.size)
    is_ordinary_V = jnp.zeros(p_BTV.shape[-1]).at[ordinary_N].set(1.0)
    uniform_V, alpha_s_BT1 = is_ordinary_V / ordinary_N.size, alpha_s_BT[..., None]
    moved_BTV = alpha_s_BT1 * p_BTV + (1 - alpha_s_BT1) * uniform_V
    stayed_BTV = jax.nn.one_hot(noisy_BT, p_BTV.shape[-1])
    return stays_BT[..., None] * stayed_BTV + (1 - stays_BT[..., None]) * moved_BTV


def denoise_step(
    logits_BTV: Float[Array, "B T V"],
    noisy_BT: Int[Array, "B T"],
    t: Times,
    s: Times,
    schedule: Schedule,
    ordinary_N: Int[Array, "N"],
    *,
    key: Key[Array, ""],
) -> Int[Array, "B T"]:
    """Draws the tokens at time s < t: whether a token was noised since s, and if so, what it was at s.

    What is drawn is never scaled by the length of the step, as in `denoising.denoise_step`.
    """
    whether_key, noise_key, clean_key, random_key = jax.random.split(key, 4)
    logits_BTV = _ordinary_alone(logits_BTV, ordinary_N)
    p_BTV = jax.nn.softmax(logits_BTV, axis=-1)
    stays_BT, alpha_s_BT = _stays_and_alpha(p_BTV, noisy_BT, t, s, schedule, ordinary_N.size)
    clean_BT = jax.random.categorical(clean_key, logits_BTV, mode="high")
    random_BT = jax.random.choice(random_key, ordinary_N, noisy_BT.shape)
    was_clean_BT = jax.random.uniform(noise_key, noisy_BT.shape) < alpha_s_BT
    moved_BT = jnp.where(was_clean_BT, clean_BT, random_BT).astype(noisy_BT.dtype)
    return jnp.where(jax.random.uniform(whether_key, noisy_BT.shape) < stays_BT, noisy_BT, moved_BT)


def _stays_and_alpha(p_BTV, noisy_BT, t, s, schedule, size):
    """The probability that a token was not noised between s and t, given what it is at t; and α(s)."""
    noises = schedule.one_minus_alpha(t), noise_left(schedule, s)
    noise_t, noise_s = (jnp.broadcast_to(noise, noisy_BT.shape) for noise in noises)
    p_BT = jnp.take_along_axis(p_BTV, noisy_BT[..., None], axis=-1)[..., 0]
    stayed_BT = (1 - noise_t) * (size * (1 - noise_s) * p_BT + noise_s)
    return stayed_BT / (stayed_BT + noise_t - noise_s), 1 - noise_s


def _ordinary_alone(logits_BTV, ordinary_N):
    """Float32 logits in which every other id is impossible."""
    is_ordinary_V = jnp.zeros(logits_BTV.shape[-1], bool).at[ordinary_N].set(True)
    return jnp.where(is_ordinary_V, logits_BTV.astype(jnp.float32), NEVER)
