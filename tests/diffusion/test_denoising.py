import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.diffusion import denoising, schedules

MASK, V, DRAWS = 2, 4, 10_000
NOISY_BT = jnp.array([[MASK, 0, MASK, 3, MASK]])
LOGITS_BTV = jnp.array(np.random.default_rng(0).normal(size=(1, 5, V)), jnp.float32)
COSINE = schedules.from_name("cosine")


def _bayes(prediction_V, alpha_t, alpha_s):
    """p(z_s | z_t = mask) by enumerating the clean token x and z_s, from q(z_s | x) and q(z_t = mask | z_s) alone."""
    posterior_V = np.zeros(V)
    for x, p_x in enumerate(prediction_V):
        if x != MASK:
            joint = {x: alpha_s * (1 - alpha_t / alpha_s), MASK: 1 - alpha_s}
            for z_s, p in joint.items():
                posterior_V[z_s] += p_x * p / sum(joint.values())
    return posterior_V


@pytest.mark.parametrize(("t", "s"), [(1.0, 0.4), (0.7, 0.65), (0.3, 0.0)])
def test_posterior_of_masked_tokens_is_bayes_rule(t, s):
    posterior_BTV = np.asarray(denoising.posterior(LOGITS_BTV, NOISY_BT, t, s, COSINE, MASK))
    logits_TV = np.where(np.arange(V) == MASK, -np.inf, np.asarray(LOGITS_BTV[0], np.float64))
    prediction_TV = np.exp(logits_TV) / np.exp(logits_TV).sum(-1, keepdims=True)
    alpha_t, alpha_s = float(COSINE.alpha(t)), float(COSINE.alpha(s))
    for i in (0, 2, 4):
        expected_V = _bayes(prediction_TV[i], alpha_t, alpha_s)
        np.testing.assert_allclose(posterior_BTV[0, i], expected_V, atol=2e-6)


def test_posterior_sums_to_one_and_carries_clean_tokens_over():
    posterior_BTV = np.asarray(denoising.posterior(LOGITS_BTV, NOISY_BT, 0.8, 0.5, COSINE, MASK))
    np.testing.assert_allclose(posterior_BTV.sum(-1), 1, rtol=1e-6)
    np.testing.assert_array_equal(posterior_BTV[0, [1, 3]], np.eye(V)[[0, 3]])


def _step(key, t, s):
    return denoising.denoise_step(LOGITS_BTV, NOISY_BT, t, s, COSINE, MASK, key=key)


_steps = jax.jit(jax.vmap(_step, (0, None, None)))


def test_steps_are_draws_from_the_posterior():
    draws = np.asarray(_steps(jax.random.split(jax.random.key(0), DRAWS), 0.8, 0.5))[:, 0]
    frequency_TV = (draws[..., None] == np.arange(V)).mean(0)
    posterior_TV = np.asarray(denoising.posterior(LOGITS_BTV, NOISY_BT, 0.8, 0.5, COSINE, MASK))[0]
    np.testing.assert_allclose(frequency_TV, posterior_TV, atol=0.015)


def test_two_half_steps_are_distributed_like_one():
    once = np.asarray(denoising.posterior(LOGITS_BTV, NOISY_BT, 0.9, 0.2, COSINE, MASK))[0]
    first = np.asarray(denoising.posterior(LOGITS_BTV, NOISY_BT, 0.9, 0.6, COSINE, MASK))[0]
    second = np.asarray(denoising.posterior(LOGITS_BTV, NOISY_BT, 0.6, 0.2, COSINE, MASK))[0]
    twice = first[:, [MASK]] * second + first * (np.arange(V) != MASK)
    masked = [0, 2, 4]
    np.testing.assert_allclose(twice[masked], once[masked], atol=1e-6)


def test_nothing_stays_masked_at_0_and_clean_tokens_are_kept():
    draws = np.asarray(_steps(jax.random.split(jax.random.key(1), DRAWS), 0.6, 0.0))
    assert not (draws == MASK).any()
    np.testing.assert_array_equal(draws[:, 0, [1, 3]], np.broadcast_to([0, 3], (DRAWS, 2)))


def test_at_0_all_is_text_also_where_a_schedule_keeps_noise():
    half = schedules.Schedule(lambda t: (1 + t) / 2)
    posterior_TV = np.asarray(denoising.posterior(LOGITS_BTV, NOISY_BT, 0.6, 0.0, half, MASK))[0]
    text_V = np.exp(LOGITS_BTV[0, 0]) * (np.arange(V) != MASK)
    np.testing.assert_allclose(posterior_TV[0], text_V / text_V.sum(), rtol=1e-5)


def test_time_may_differ_from_token_to_token():
    t_BT = jnp.array([[0.9, 0.9, 0.5, 0.5, 0.0]])
    s_BT = jnp.array([[0.0, 0.0, 0.5, 0.5, 0.0]])
    for seed in range(5):
        step_BT = _step(jax.random.key(seed), t_BT, s_BT)
        assert step_BT[0, 0] != MASK
        assert step_BT[0].tolist()[1:] == [0, MASK, 3, MASK]


def _hits(draw, probability, tail, draws, rounds=1, dtype=jnp.float32):
    """How often any of `tail` tokens of this probability each is drawn, and how often it should be."""
    logits_V = jnp.log(jnp.full(tail + 1, probability).at[0].set(1 - tail * probability))
    logits_BTV = jnp.broadcast_to(logits_V.astype(dtype), (1, draws, tail + 1))
    hits = jax.jit(lambda key: (draw(logits_BTV, key) != 0).sum())
    keys = jax.random.split(jax.random.key(0), rounds)
    return sum(int(hits(key)) for key in keys), tail * probability * draws * rounds


def _denoise(logits_BTV, key):
    """From all noise to clean; the mask token has an id of its own at the end of the vocabulary."""
    logits_BTV = jnp.pad(logits_BTV, ((0, 0), (0, 0), (0, 1)))
    mask_id = logits_BTV.shape[-1] - 1
    noisy_BT = jnp.full(logits_BTV.shape[:2], mask_id)
    return denoising.denoise_step(logits_BTV, noisy_BT, 1.0, 0.0, COSINE, mask_id, key=key)


def _low_precision(logits_BTV, key):
    return jax.random.categorical(key, logits_BTV, mode="low")


def test_bfloat16_logits_do_not_cut_the_tail_off():
    setting = {"probability": 2.0**-14, "tail": 256, "draws": 8192, "dtype": jnp.bfloat16}
    hits, expected = _hits(_denoise, **setting)
    assert hits == pytest.approx(expected, abs=4 * expected**0.5)
    hits, expected = _hits(_low_precision, **setting)
    assert abs(hits - expected) > 8 * expected**0.5


@pytest.mark.slow
def test_tokens_of_5e_8_are_drawn_as_often_as_they_should():
    setting = {"probability": 5e-8, "tail": 8192, "draws": 2048, "rounds": 24}
    hits, expected = _hits(_denoise, **setting)
    assert hits == pytest.approx(expected, abs=3 * expected**0.5)
    hits, expected = _hits(_low_precision, **setting)
    assert hits < expected / 2
