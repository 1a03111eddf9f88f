"""Samplers of masked diffusion on a Markov chain whose perfect prediction is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.config.sampling import GREEDY
from hybridlm.diffusion import denoising, schedules
from hybridlm.diffusion.schedules import Schedule
from hybridlm.sampling import canvas as canvases
from hybridlm.sampling.masked import Ancestral, Ordered
from tests.sampling.chain import (
    FACTS,
    LENGTH,
    MASK,
    P_X,
    TEXTS_XT,
    V,
    blank,
    distance,
    keys,
    noise_floor,
    perfect,
    sample,
)

ROWS = 6000
LINEAR, COSINE = schedules.from_name("linear"), schedules.from_name("cosine")
SAMPLERS = {
    "ancestral": Ancestral(steps=6, schedule=COSINE),
    "ancestral with noise left at 0": Ancestral(steps=6, schedule=Schedule(lambda t: (1 + t) / 2)),
    "confidence": Ordered(steps=2, order="confidence"),
    "threshold": Ordered(steps=LENGTH, order="confidence", threshold=0.7),
    "bound": Ordered(steps=LENGTH, order="entropy", bound=0.8),
}


@pytest.mark.parametrize(
    ("coarse", "fine"),
    [
        (Ancestral(steps=1, schedule=LINEAR), Ancestral(steps=64, schedule=LINEAR)),
        (Ordered(steps=1), Ordered(steps=LENGTH)),
    ],
    ids=["ancestral", "first hitting"],
)
def test_few_steps_are_wrong_with_a_perfect_prediction_and_many_are_right(coarse, fine):
    far, near = (distance(sample(sampler, blank(ROWS))[0].tokens_BT) for sampler in (coarse, fine))
    floor = noise_floor(ROWS)
    assert far > 5 * floor
    assert near < 2 * floor if isinstance(fine, Ordered) else near < 3 * floor


@pytest.mark.parametrize("order", ["margin", "entropy", "confidence"])
def test_one_at_a_time_every_order_that_reads_no_draw_is_right(order):
    """Confidence is that of the token drawn: likely draws stay, the others are drawn anew, and texts are too likely."""
    tokens_BT = sample(Ordered(steps=LENGTH, order=order), blank(ROWS))[0].tokens_BT
    if order == "confidence":
        assert distance(tokens_BT) > 5 * noise_floor(ROWS)
        assert np.log(P_X)[np.asarray(tokens_BT) @ V ** np.arange(LENGTH)[::-1]].mean() > P_X @ np.log(P_X)
    else:
        assert distance(tokens_BT) < 2 * noise_floor(ROWS)


def test_a_step_by_time_is_a_draw_from_the_posterior():
    """Two masked tokens between given ones, from the second to the third time of the grid."""
    tokens_T = jnp.array([0, MASK, MASK, 2])
    canvas = canvases.start(jnp.tile(tokens_T, (ROWS, 1)), MASK)
    sampler = Ancestral(steps=4, schedule=COSINE)

    def ask(canvas, noise_B):
        return canvas, canvases.without_mask(perfect(canvas.tokens_BT, FACTS, noise_B[:, None]), MASK)

    after = jax.jit(lambda canvas: sampler(keys(3, ROWS), jnp.array(1), canvas, ask))(canvas)
    frequency_TV = np.asarray(after.tokens_BT[..., None] == np.arange(V + 1)).mean(0)
    logits_BTV = perfect(tokens_T[None], FACTS, None)
    posterior_TV = denoising.posterior(logits_BTV, tokens_T[None], 0.75, 0.5, COSINE, MASK)[0]
    np.testing.assert_allclose(frequency_TV, posterior_TV, atol=0.022)


@pytest.mark.parametrize("name", SAMPLERS)
def test_given_tokens_stay_and_no_mask_is_left(name):
    tokens_BT = jnp.array([[0, MASK, MASK, 2], [MASK, 1, MASK, MASK], [2, 2, 2, 2], [MASK, MASK, MASK, MASK]])
    for seed in range(3):
        canvas, _ = sample(SAMPLERS[name], canvases.start(jnp.tile(tokens_BT, (8, 1)), MASK), seed)
        given_BT = np.tile(tokens_BT, (8, 1))
        written_BT = np.asarray(canvas.tokens_BT)
        assert (written_BT != MASK).all()
        np.testing.assert_array_equal(written_BT[given_BT != MASK], given_BT[given_BT != MASK])
        assert (np.asarray(canvas.confidence_BT)[given_BT != MASK] == 1).all()


def test_a_gap_is_filled_by_bayes_rule():
    """p(x1, x2 | x0 = 0, x3 = 2), by enumeration."""
    canvas = canvases.start(jnp.tile(jnp.array([0, MASK, MASK, 2]), (ROWS, 1)), MASK)
    p_X = np.where((TEXTS_XT[:, 0] == 0) & (TEXTS_XT[:, 3] == 2), P_X, 0)
    p_X /= p_X.sum()
    exact = distance(sample(Ordered(steps=2), canvas)[0].tokens_BT, p_X)
    at_once = distance(sample(Ordered(steps=1), canvas)[0].tokens_BT, p_X)
    assert exact < 2 * noise_floor(ROWS, p_X) < at_once


@pytest.mark.parametrize("order", ["confidence", "margin", "entropy", "left_to_right"])
def test_the_likeliest_token_in_an_order_leaves_nothing_to_chance(order):
    sampler = Ordered(steps=LENGTH, order=order, choice=GREEDY)
    first, second = (sample(sampler, blank(2), seed)[0].tokens_BT for seed in (0, 1))
    assert first.tolist() == second.tolist()
    assert first[0].tolist() == first[1].tolist()


def test_a_step_that_writes_nothing_does_not_ask_the_network():
    one_token = canvases.start(jnp.array([[0, MASK, 1, 2]]), MASK)
    canvas, _ = sample(Ancestral(steps=50, schedule=LINEAR), one_token)
    assert int(canvas.calls) == 1
    canvas, _ = sample(Ordered(steps=50), one_token)
    assert int(canvas.calls) == 1


def test_sure_tokens_are_written_at_once():
    """A chain that repeats its first token: once one token is there, the rest are certain."""

    def repeats(tokens_BT, facts, noise_BT):
        seen_BV = (tokens_BT[..., None] == np.arange(V)).any(1)
        p_BV = jnp.where(seen_BV.any(-1, keepdims=True), seen_BV, jnp.array([0.5, 0.25, 0.25]))
        logits_BV = jnp.pad(jnp.log(p_BV), ((0, 0), (0, 1)), constant_values=-jnp.inf)
        return jnp.broadcast_to(logits_BV[:, None], (*tokens_BT.shape, V + 1))

    for sampler in (
        Ordered(steps=LENGTH, order="confidence", threshold=0.9),
        Ordered(steps=LENGTH, order="entropy", bound=0.5),
    ):
        canvas, _ = sample(sampler, blank(64), predict=repeats)
        assert int(canvas.calls) == 2
        assert (np.asarray(canvas.tokens_BT) == np.asarray(canvas.tokens_BT)[:, :1]).all()


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [([MASK] * 4, [(1 / 4, 1), (2 / 4, 2), (3 / 4, 3), (4 / 4, 4)]), ([0, 1, MASK, MASK], [(1 / 3, 1), (2 / 3, 2)])],
    ids=["nothing given", "BOS, which is never masked, and a token given"],
)
def test_the_network_is_told_the_share_of_noise(tokens, expected):
    told = []

    def listens(tokens_BT, facts, noise_BT):
        jax.debug.callback(
            lambda noise, masked: told.append((noise, masked)), noise_BT[0, 0], (tokens_BT == MASK).sum()
        )
        return perfect(tokens_BT, facts, noise_BT)

    canvas = canvases.start(jnp.array([tokens]), MASK)
    jax.block_until_ready(sample(Ordered(steps=LENGTH), canvas, predict=listens)[0].tokens_BT)
    jax.effects_barrier()
    assert sorted((float(noise), int(masked)) for noise, masked in told) == [
        (pytest.approx(noise), masked) for noise, masked in expected
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ordered(steps=0), "a sampler needs at least 1 step, but steps=0"),
        (lambda: Ancestral(steps=-2, schedule=LINEAR), "a sampler needs at least 1 step, but steps=-2"),
        (lambda: Ordered(steps=4, order="confidnce"), "order='confidnce' is not one of .*; did you mean 'confidence'?"),
        (lambda: Ordered(steps=4, threshold=0.9), "goes with order='confidence'; order is 'random'"),
        (lambda: Ordered(steps=4, order="confidence", threshold=1.5), "threshold=1.5 is a probability"),
        (lambda: Ordered(steps=4, order="confidence", bound=0.1), "goes with order='entropy'; order is 'confidence'"),
        (lambda: canvases.start(jnp.zeros((2, 0), int), MASK), "these have shape (2, 0); give at least one of each"),
    ],
)
def test_what_could_not_work_is_refused_with_the_fix(make, message):
    with pytest.raises(ConfigError) as raised:
        make()
    assert all(part in str(raised.value) for part in message.split(".*"))
