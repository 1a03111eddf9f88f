"""A Markov chain small enough to enumerate, and the perfect prediction for it: Bayes' rule over all its texts."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np

from hybridlm.facts.tokens import one_document
from hybridlm.sampling import canvas as canvases
from hybridlm.sampling.denoise import denoise

LENGTH, V = 4, 3
MASK = V
INITIAL_V = np.array([0.5, 0.3, 0.2])
TRANSITION_VV = np.array([[0.85, 0.1, 0.05], [0.05, 0.15, 0.8], [0.7, 0.2, 0.1]])
TEXTS_XT = np.array(list(itertools.product(range(V), repeat=LENGTH)))
P_X = INITIAL_V[TEXTS_XT[:, 0]] * TRANSITION_VV[TEXTS_XT[:, :-1], TEXTS_XT[:, 1:]].prod(1)
FACTS = one_document(LENGTH)


def perfect(tokens_BT, facts, noise_BT):
    """log p(token | what is not masked) for every token; the mask token has an id and a logit that must be ignored."""
    fits_BX = ((tokens_BT[:, None] == TEXTS_XT) | (tokens_BT[:, None] == MASK)).all(-1)
    p_BTV = jnp.einsum("bx,xtv->btv", fits_BX * P_X, np.eye(V)[TEXTS_XT])
    logits_BTV = jnp.log(p_BTV / p_BTV.sum(-1, keepdims=True))
    return jnp.pad(logits_BTV, ((0, 0), (0, 0), (0, 1)), constant_values=3.0)


def blank(rows, length=LENGTH):
    return canvases.start(jnp.full((rows, length), MASK), MASK)


@functools.partial(jax.jit, static_argnames=("sampler", "predict", "record"))
def sample(sampler, canvas, seed=0, predict=perfect, record=False):
    """The canvas at the end, and the trace."""
    rows, length = canvas.tokens_BT.shape
    return denoise(sampler, predict, canvas, one_document(length), keys(seed, rows), record=record)


def keys(seed, rows):
    return jax.random.split(jax.random.key(seed), rows)


def distance(tokens_BT, p_X=P_X):
    """Total variation between samples and the chain."""
    code_B = np.asarray(tokens_BT) @ (V ** np.arange(LENGTH)[::-1])
    return 0.5 * np.abs(np.bincount(code_B, minlength=len(p_X)) / len(code_B) - p_X).sum()


def noise_floor(rows, p_X=P_X):
    """What the distance of so many perfect samples is about."""
    return 0.5 * np.sqrt(2 * p_X * (1 - p_X) / (np.pi * rows)).sum()
