"""Uniform-state sampling on a text short enough that the perfect prediction, token by token, can be enumerated."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.diffusion import schedules
from hybridlm.sampling import canvas as canvases
from hybridlm.sampling.uniform_state import UniformState
from tests.sampling.chain import sample

T, V, MASK, ROWS = 2, 3, 3, 4000
LINEAR = schedules.from_name("linear")
TEXTS_XT = np.array(list(itertools.product(range(V), repeat=T)))
P_X = np.array([0.40, 0.02, 0.03, 0.05, 0.20, 0.05, 0.02, 0.03, 0.20])


def perfect(tokens_BT, facts, noise_BT):
    """log p(token | all other noisy tokens), by Bayes' rule over all texts."""
    alpha, is_same_BXT = 1 - noise_BT[:, None], tokens_BT[:, None] == TEXTS_XT
    q_BXT = jnp.where(is_same_BXT, alpha + (1 - alpha) / V, (1 - alpha) / V)
    others_BXT = q_BXT[..., ::-1]
    p_BTV = jnp.einsum("bxt,x,xtv->btv", others_BXT, P_X, np.eye(V)[TEXTS_XT])
    logits_BTV = jnp.log(p_BTV / p_BTV.sum(-1, keepdims=True))
    return jnp.pad(logits_BTV, ((0, 0), (0, 0), (0, 1)), constant_values=3.0)


def sampler(steps):
    return UniformState(steps=steps, schedule=LINEAR, size=V + 1, never=(MASK,))


def distance(tokens_BT):
    code_B = np.asarray(tokens_BT) @ (V ** np.arange(T)[::-1])
    return 0.5 * np.abs(np.bincount(code_B, minlength=V**T) / len(code_B) - P_X).sum()


def test_many_steps_are_right_and_few_are_not():
    blank = canvases.start(jnp.full((ROWS, T), MASK), MASK)
    far, near = (distance(sample(sampler(steps), blank, predict=perfect)[0].tokens_BT) for steps in (1, 64))
    assert near < 0.035 < 0.15 < far


def test_given_tokens_stay_and_no_mask_is_left():
    tokens_BT = jnp.tile(jnp.array([[1, MASK], [MASK, 0], [2, 2]]), (16, 1))
    canvas, trace = sample(sampler(6), canvases.start(tokens_BT, MASK), predict=perfect, record=True)
    given_BT = np.asarray(tokens_BT)
    np.testing.assert_array_equal(np.asarray(canvas.tokens_BT)[given_BT != MASK], given_BT[given_BT != MASK])
    assert not (np.asarray(trace.tokens_NBT)[1:] == MASK).any()


def test_noise_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="never=.0, 1. leaves none of 2; leave out special ids alone"):
        UniformState(steps=4, schedule=LINEAR, size=2, never=(0, 1))
