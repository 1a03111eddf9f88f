"""Two tokens over three ordinary ids and a mask token: few enough to enumerate every text, every noise, every path."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.diffusion import schedules, uniform
from hybridlm.facts.head import Head
from hybridlm.facts.loss_inputs import LossInputs
from hybridlm.facts.tokens import one_document
from hybridlm.scoring.reductions import vocabulary_reductions

N, V, L, DRAWS = 3, 4, 2, 10_000
ORDINARY_N = jnp.array([0, 2, 3])
TEXTS_XL = np.array(list(itertools.product([0, 2, 3], repeat=L)))
NEVER_V = jnp.arange(V) == 1
LINEAR, COSINE = schedules.from_name("linear"), schedules.from_name("cosine")
RANDOM = np.random.default_rng(0)
DATA_X = RANDOM.dirichlet(np.full(len(TEXTS_XL), 0.7))
NAMES = ("linear", "cosine", "polynomial:2")


def _noised(alpha):
    """q(z|x) for every pair of single tokens, [V, V]; the mask token becomes nothing and nothing becomes it."""
    q_VV = alpha * np.eye(V) + (1 - alpha) / N
    q_VV[1], q_VV[:, 1] = 0, 0
    return q_VV


def _noised_texts(alpha):
    """q(z|x) for every pair of texts, [Z, X]."""
    q_VV = _noised(alpha)
    return np.prod([q_VV[TEXTS_XL[:, i][None], TEXTS_XL[:, i][:, None]] for i in range(L)], axis=0)


def _arbitrary(alpha):
    """Some prediction for every token of every noisy text, [Z, L, V], whatever the time."""
    p_ZLV = np.random.default_rng(1).dirichlet(np.ones(N), size=(len(TEXTS_XL), L))
    return np.insert(p_ZLV, 1, 0, axis=-1)


def _perfect(alpha):
    """p(token | the other noisy token) under the data, [Z, L, V]."""
    q_VV, p_ZLV = _noised(alpha), np.zeros((len(TEXTS_XL), L, V))
    for z, i in itertools.product(range(len(TEXTS_XL)), range(L)):
        evidence_X = DATA_X * q_VV[TEXTS_XL[z, 1 - i], TEXTS_XL[:, 1 - i]]
        np.add.at(p_ZLV[z, i], TEXTS_XL[:, i], evidence_X / evidence_X.sum())
    return p_ZLV


def _general_path(logits_BTV, never_V, size, inputs_BT, targets_BT, noise_BT):
    """The loss of logits, through the reductions over the vocabulary."""
    loss, nothing_BT = uniform.TokenBound(size), jnp.zeros(noise_BT.shape)
    inputs = LossInputs(
        inputs_BT=inputs_BT,
        facts=one_document(noise_BT.shape[1]),
        targets_BT=targets_BT,
        target_index_BT=targets_BT,
        train_weight_BT=nothing_BT,
        score_weight_BT=nothing_BT,
        noise_BT=noise_BT,
        part_BX=targets_BT[:, :1],
        mask=None,
        parts=(),
    )
    head = Head(jnp.eye(logits_BTV.shape[-1]), never_V=never_V)
    asked = (targets_BT, inputs_BT, loss.f, (noise_BT,))
    return loss(vocabulary_reductions(logits_BTV, head, *asked, chunk=999), inputs)


@jax.jit
def _losses(p_BTV, inputs_BT, targets_BT, noise_BT):
    log_p_BTV = jnp.log(jnp.maximum(p_BTV, 1e-30))
    return _general_path(log_p_BTV + 1.7, NEVER_V, N, inputs_BT, targets_BT, noise_BT)


def _bounds(predict, schedule, nodes=40):
    """The bound of every text: an integral over t of an average over all its noisy texts."""
    u, du = np.polynomial.legendre.leggauss(nodes)
    u, du = (u + 1) / 2, du / 2
    t, dt = u**3, 3 * u**2 * du  # the integrand has a logarithm at 0
    shape = (nodes, len(TEXTS_XL), len(TEXTS_XL), L)  # time, noisy text, text, token
    noise_S = np.asarray(schedule.one_minus_alpha(t))
    p = np.broadcast_to(np.stack([predict(1 - noise) for noise in noise_S])[:, :, None], (*shape, V))
    z, x = np.broadcast_to(TEXTS_XL[:, None], shape[1:]), np.broadcast_to(TEXTS_XL[None], shape[1:])
    columns = (np.broadcast_to(c, shape).reshape(-1, L) for c in (z, x, noise_S[:, None, None, None]))
    loss = np.asarray(_losses(p.reshape(-1, L, V).astype(np.float32), *map(jnp.asarray, columns))).reshape(shape)
    weight_S = np.asarray(schedules.likelihood_weight(schedule, jnp.asarray(t))) * dt
    q_SZX = np.stack([_noised_texts(1 - noise) for noise in noise_S])
    return np.einsum("s,szx,szxl->x", weight_S, q_SZX, loss)


@pytest.mark.parametrize("name", NAMES)
def test_with_the_perfect_prediction_the_mean_bound_is_the_entropy_of_the_data(name):
    """The reversed process is then exact, so every constant of the loss and its weight is pinned, for any schedule."""
    bound_X = _bounds(_perfect, schedules.from_name(name))
    assert DATA_X @ bound_X == pytest.approx(-(DATA_X * np.log(DATA_X)).sum(), abs=2e-4)


def _likelihoods(predict, schedule, steps):
    """p(text) of the process backwards in many small steps from uniform noise, all paths enumerated."""
    p_X = np.full(len(TEXTS_XL), 1 / len(TEXTS_XL))
    times = np.linspace(1, 0, steps + 1)
    z = jnp.asarray(TEXTS_XL)

    @jax.jit
    def step(p_ZLV, t, s):
        return uniform.posterior(jnp.log(jnp.maximum(p_ZLV, 1e-30)), z, t, s, schedule, ORDINARY_N)

    for t, s in itertools.pairwise(times):
        p_ZLV = np.asarray(step(predict(float(schedule.alpha(t))).astype(np.float32), t, s), np.float64)
        p_X = p_X @ np.prod([p_ZLV[:, i][:, TEXTS_XL[:, i]] for i in range(L)], axis=0)
    return p_X


def test_the_bound_of_every_text_lies_above_its_likelihood_and_is_the_same_for_every_schedule():
    bound_X, likelihood_X = _bounds(_arbitrary, LINEAR), _likelihoods(_arbitrary, LINEAR, 400)
    assert likelihood_X.sum() == pytest.approx(1, abs=1e-4)
    assert np.all(bound_X > -np.log(likelihood_X))
    np.testing.assert_allclose(_bounds(_arbitrary, COSINE), bound_X, rtol=1e-3)


def test_many_perfect_steps_backwards_draw_the_data():
    np.testing.assert_allclose(_likelihoods(_perfect, LINEAR, 400), DATA_X, atol=2e-3)


@pytest.mark.parametrize("alpha", [0.05, 0.5, 0.9])
def test_the_loss_is_the_rate_of_divergence_of_the_two_jump_processes(alpha):
    """Σ over jumps of true rate · log(true / model) − true + model, from rates N·rate = x̄_j / x̄_z by enumeration."""
    q_VV, p_V = _noised(alpha), np.array([0.2, 0.0, 0.7, 0.1])
    for x, z in itertools.product([0, 2, 3], repeat=2):
        model_V = alpha * p_V + (1 - alpha) / N
        true_J, modelled_J = (np.array([q[j] / q[z] / N for j in (0, 2, 3) if j != z]) for q in (q_VV[:, x], model_V))
        rate = (true_J * np.log(true_J / modelled_J) - true_J + modelled_J).sum()
        given = (p_V.astype(np.float32), np.int32(z), np.int32(x), np.float32(1 - alpha))
        loss = _losses(*(jnp.asarray(column)[None, None] for column in given))
        # rates carry −α′/α, the loss −α′/(1−α)
        assert float(loss[0, 0]) == pytest.approx(rate * (1 - alpha) / alpha, rel=1e-5)


def _both_ends(log_p_V):
    """Losses where nothing is noise, where all is, and between, of a right and a wrong token in a large vocabulary."""
    noise_BT = jnp.broadcast_to(jnp.array([0, 1e-30, 1e-7, 0.5, 1 - 6e-8, 1]), (2, 6))
    log_p_BTV, targets_BT = jnp.broadcast_to(log_p_V, (2, 6, log_p_V.size)), jnp.array([[0] * 6, [1] * 6])
    return _general_path(log_p_BTV, None, log_p_V.size, jnp.zeros((2, 6), int), targets_BT, noise_BT)


def test_both_ends_of_time_are_finite_with_their_gradients_and_a_loss_is_never_negative():
    logits_V = jnp.zeros(64).at[0].set(60.0).at[1].set(-60.0)
    loss_BT, jacobian_BTV = jax.jit(lambda logits_V: (_both_ends(logits_V), jax.jacfwd(_both_ends)(logits_V)))(logits_V)
    assert np.all(np.isfinite(loss_BT)) and np.all(np.isfinite(jacobian_BTV))
    assert np.all(np.asarray(loss_BT) > -1e-6)
    np.testing.assert_array_equal(loss_BT[:, -1], 0)
    assert loss_BT[1, 2] > loss_BT[1, 3] > 1 > loss_BT[0].max()


def _bayes(prior_V, z, alpha_t, alpha_s):
    """p(z_s | z_t = z) by enumerating the clean token and z_s, from the two forward kernels alone."""
    return (_noised(alpha_t / alpha_s)[z] * (_noised(alpha_s) @ prior_V)) / (_noised(alpha_t) @ prior_V)[z]


PRIOR_TV = np.array([[0.5, 0, 0.3, 0.2], [0.1, 0, 0.1, 0.8], [0.0, 0, 1.0, 0.0]])
NOISY_BT = jnp.array([[0, 2, 3]])
TIMES = [(1.0, 0.4), (0.7, 0.65), (0.3, 0.0)]


@pytest.mark.parametrize(("t", "s"), TIMES)
def test_posterior_is_bayes_rule_with_the_prediction_as_prior(t, s):
    favoured_BTV = LOGITS_BTV.at[..., 1].set(9.0)  # the mask token is no answer
    found_TV = np.asarray(uniform.posterior(favoured_BTV, NOISY_BT, t, s, COSINE, ORDINARY_N))[0]
    for i, z in enumerate([0, 2, 3]):
        expected_V = _bayes(PRIOR_TV[i], z, float(COSINE.alpha(t)), float(COSINE.alpha(s)))
        np.testing.assert_allclose(found_TV[i], expected_V, atol=2e-6)


def test_at_0_all_is_text_also_where_a_schedule_keeps_noise():
    half = schedules.Schedule(lambda t: (1 + t) / 2)
    found_TV = np.asarray(uniform.posterior(LOGITS_BTV, NOISY_BT, 0.6, 0.0, half, ORDINARY_N))[0]
    for i, z in enumerate([0, 2, 3]):
        np.testing.assert_allclose(found_TV[i], _bayes(PRIOR_TV[i], z, alpha_t=0.2, alpha_s=1.0), atol=2e-6)


LOGITS_BTV = jnp.log(jnp.maximum(jnp.asarray(PRIOR_TV, jnp.float32), 1e-30))[None]


@jax.jit
def _many_steps(key, t, s):
    def step(key):
        return uniform.denoise_step(LOGITS_BTV, NOISY_BT, t, s, COSINE, ORDINARY_N, key=key)

    return jax.vmap(step)(jax.random.split(key, DRAWS))


@pytest.mark.parametrize(("t", "s"), TIMES)
def test_steps_are_draws_from_the_posterior(t, s):
    posterior_TV = np.asarray(uniform.posterior(LOGITS_BTV, NOISY_BT, t, s, COSINE, ORDINARY_N))[0]
    draws = np.asarray(_many_steps(jax.random.key(0), t, s))[:, 0]
    np.testing.assert_allclose((draws[..., None] == np.arange(V)).mean(0), posterior_TV, atol=0.015)


def test_noise_is_any_ordinary_id_alike_and_only_where_it_may_be():
    tokens_BT, may_BT = jnp.full((300, 200), 2), jnp.broadcast_to(jnp.arange(200) % 2 == 0, (300, 200))
    t_BT = jnp.full((300, 200), 0.6)
    noisy_BT, is_drawn_BT = uniform.corrupt(jax.random.key(0), tokens_BT, t_BT, LINEAR, ORDINARY_N, may_BT)
    noisy_BT, is_drawn_BT, may_BT = map(np.asarray, (noisy_BT, is_drawn_BT, may_BT))
    share_V = (noisy_BT[may_BT][:, None] == np.arange(V)).mean(0)
    np.testing.assert_allclose(share_V, _noised(0.4)[2], atol=0.01)
    assert is_drawn_BT[may_BT].mean() == pytest.approx(0.6, abs=0.01)
    assert np.all(noisy_BT[~is_drawn_BT] == 2) and not is_drawn_BT[~may_BT].any()
