import functools

import jax
import jax.numpy as jnp
import numpy as np

from hybridlm.facts.head import Head
from hybridlm.scoring.layout import lay_out
from hybridlm.scoring.mixture import mixture_scores
from hybridlm.scoring.reductions import mixture_nll
from hybridlm.scoring.token_scores import token_scores

G, N, D, V = 2, 12, 6, 50
RANDOM = np.random.default_rng(0)
HIDDEN_GND = jnp.asarray(RANDOM.normal(size=(G, N, D)), jnp.float32)
HEADS = [Head(jnp.asarray(RANDOM.normal(size=(V, D)), jnp.float32), never_V=jnp.arange(V) == 9) for _ in range(G)]
TARGETS_N = jnp.asarray(RANDOM.integers(10, V, N), jnp.int32)
CLASSES_VF = (np.arange(V) % 3)[:, None]
OPTIONS = {"layout": lay_out(V, CLASSES_VF), "chunk": 5}

_mixture = jax.jit(functools.partial(mixture_scores, **OPTIONS))
_one = jax.jit(functools.partial(token_scores, **OPTIONS))


def _log_p_GNV():
    z_GNV = np.stack([np.asarray(h, float) @ np.asarray(head.kernel_VD, float).T for h, head in zip(HIDDEN_GND, HEADS)])
    z_GNV[..., 9] = -np.inf
    return z_GNV - np.logaddexp.reduce(z_GNV, axis=-1, keepdims=True)


def test_a_mixture_is_scored_as_the_distribution_it_is():
    gate_GN = RANDOM.dirichlet([1] * G, N).T
    p_NV, n = (gate_GN[..., None] * np.exp(_log_p_GNV())).sum(0), np.arange(N)
    targets_N = np.asarray(TARGETS_N)
    own_NV = CLASSES_VF[:, 0] == CLASSES_VF[targets_N]
    scores = _mixture(HIDDEN_GND, HEADS, TARGETS_N, jnp.log(jnp.asarray(gate_GN, jnp.float32)))
    np.testing.assert_allclose(scores.nll, -np.log(p_NV[n, targets_N]), atol=1e-5)
    np.testing.assert_allclose(scores.entropy, -(p_NV * np.log(np.where(p_NV > 0, p_NV, 1))).sum(1), atol=1e-5)
    np.testing.assert_allclose(scores.gate[:, 0], -np.log((p_NV * own_NV).sum(1)), atol=1e-5)
    np.testing.assert_array_equal(scores.rank, 1 + (p_NV > p_NV[n, targets_N][:, None]).sum(1))
    np.testing.assert_array_equal(scores.top_id, p_NV.argmax(1))


def test_its_nll_needs_the_experts_nlls_alone():
    log_gate_GN = jax.nn.log_softmax(jnp.asarray(RANDOM.normal(size=(G, N)), jnp.float32), axis=0)
    nll_GN = jnp.stack([_one(h, head, TARGETS_N).nll for h, head in zip(HIDDEN_GND, HEADS)])
    both = _mixture(HIDDEN_GND, HEADS, TARGETS_N, log_gate_GN).nll
    np.testing.assert_allclose(mixture_nll(nll_GN, log_gate_GN), both, atol=2e-6)


def test_a_closed_gate_leaves_one_expert():
    log_gate_GN = jnp.log(jnp.array([0.0, 1.0]))[:, None] * jnp.ones((G, N))
    mixed, alone = _mixture(HIDDEN_GND, HEADS, TARGETS_N, log_gate_GN), _one(HIDDEN_GND[1], HEADS[1], TARGETS_N)
    for a, b in zip(jax.tree.leaves(mixed), jax.tree.leaves(alone)):
        np.testing.assert_allclose(a, b, atol=3e-6)
