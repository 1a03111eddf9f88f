"""One exact step of the absorbing process backwards, from time t to s < t, given a prediction p of the clean text.

q(z_s | z_t = mask) = (1−α_s)/(1−α_t) · [mask] + (α_s−α_t)/(1−α_t) · p, and tokens once revealed are carried over
(MDLM, arXiv:2406.07524).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, Key

from hybridlm.diffusion.schedules import Schedule
from hybridlm.facts.head import NEVER

Times = Float[ArrayLike, "..."]
"""One time for all tokens, or an array that broadcasts against [B, T]."""


def posterior(
    logits_BTV: Float[Array, "B T V"],
    noisy_BT: Int[Array, "B T"],
    t: Times,
    s: Times,
    schedule: Schedule,
    mask_id: int,
) -> Float[Array, "B T V"]:
    """Probability of every id at time s < t, given the noisy tokens at time t."""
    stays_BT = _stays_masked(schedule, t, s, noisy_BT.shape)
    revealed_BTV = jax.nn.softmax(_without_mask(logits_BTV, mask_id), axis=-1)
    is_mask_V = jnp.arange(logits_BTV.shape[-1]) == mask_id
    step_BTV = jnp.where(is_mask_V, stays_BT[..., None], (1 - stays_BT)[..., None] * revealed_BTV)
    carried_BTV = jax.nn.one_hot(noisy_BT, logits_BTV.shape[-1])
    return jnp.where((noisy_BT == mask_id)[..., None], step_BTV, carried_BTV)


def denoise_step(
    logits_BTV: Float[Array, "B T V"],
    noisy_BT: Int[Array, "B T"],
    t: Times,
    s: Times,
    schedule: Schedule,
    mask_id: int,
    *,
    key: Key[Array, ""],
) -> Int[Array, "B T"]:
    """Draws the tokens at time s < t. At s = 0 nothing stays masked.

    Whether a token is revealed is drawn before what it becomes: folded into one draw, every probability would shrink by
    the length of the step, down to where float32 noise no longer resolves it (Zheng et al., arXiv:2409.02908).
    """
    whether_key, what_key = jax.random.split(key)
    stays_BT = _stays_masked(schedule, t, s, noisy_BT.shape)
    is_revealed_BT = (noisy_BT == mask_id) & (jax.random.uniform(whether_key, noisy_BT.shape) >= stays_BT)
    drawn_BT = jax.random.categorical(what_key, _without_mask(logits_BTV, mask_id), mode="high")
    return jnp.where(is_revealed_BT, drawn_BT.astype(noisy_BT.dtype), noisy_BT)


def noise_left(schedule: Schedule, s: Times) -> Float[Array, "..."]:
    """1 − α(s), and none at s = 0: noise that a schedule has there goes with the last step, which writes the text."""
    return jnp.where(jnp.asarray(s) > 0, schedule.one_minus_alpha(s), 0.0)


def _stays_masked(schedule, t, s, shape):
    """(1−α_s)/(1−α_t), the probability that a token masked at t is masked at s."""
    return jnp.broadcast_to(noise_left(schedule, s) / schedule.one_minus_alpha(t), shape)


def _without_mask(logits_BTV, mask_id):
    """Float32 logits in which the mask token is impossible: noise is not text."""
    logits_BTV = logits_BTV.astype(jnp.float32)
    return jnp.where(jnp.arange(logits_BTV.shape[-1]) == mask_id, NEVER, logits_BTV)
