import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.facts.head import Head
from hybridlm.scoring.reductions import mixture_nll, nll, vocabulary_reductions

G, B, T, D, V = 2, 3, 5, 4, 11
RANDOM = np.random.default_rng(0)
HIDDEN_GBTD = jnp.asarray(RANDOM.normal(size=(G, B, T, D)), jnp.float32)
TARGETS_BT = jnp.asarray(RANDOM.integers(0, V - 1, size=(B, T)), jnp.int32)
INPUTS_BT = jnp.asarray(RANDOM.integers(0, V - 1, size=(B, T)), jnp.int32)
ALPHA_BT = jnp.asarray(RANDOM.uniform(0.1, 0.9, size=(B, T)), jnp.float32)
KERNEL_VD = jnp.asarray(RANDOM.normal(size=(V, D)), jnp.float32)
BIAS_V = jnp.asarray(RANDOM.normal(size=V), jnp.float32)
NEVER_V = jnp.arange(V) == V - 1


def _head(kernel_VD=KERNEL_VD, bias_V=BIAS_V):
    return Head(kernel_VD, bias_V, NEVER_V, softcap=2.0)


def _smoothed(p, alpha):
    """What the bound of uniform-state diffusion sums over the vocabulary: the log of predictions mixed with noise."""
    return jnp.log(alpha * p + (1 - alpha) / (V - 1))


def _reduce(hidden_GBTD, kernel_VD, bias_V, chunk):
    return vocabulary_reductions(
        hidden_GBTD, _head(kernel_VD, bias_V), TARGETS_BT, INPUTS_BT, _smoothed, (ALPHA_BT,), chunk=chunk
    )


def _dense(hidden_GBTD, kernel_VD, bias_V, xp=np):
    """The same numbers from all logits at once; in float64 with numpy, differentiable with jax.numpy."""
    z_V = 2 * xp.tanh(hidden_GBTD @ kernel_VD.T / 2) + bias_V
    z_V = z_V[..., : V - 1]
    lse = xp.log(xp.exp(z_V).sum(-1))
    log_p_V = z_V - lse[..., None]
    alpha_V = xp.asarray(ALPHA_BT)[..., None]
    targets, inputs = (xp.broadcast_to(x, lse.shape)[..., None] for x in (TARGETS_BT, INPUTS_BT))
    return (
        lse,
        xp.take_along_axis(z_V, targets, -1)[..., 0],
        xp.take_along_axis(z_V, inputs, -1)[..., 0],
        xp.log(alpha_V * xp.exp(log_p_V) + (1 - alpha_V) / (V - 1)).sum(-1),
    )


@pytest.mark.parametrize("chunk", [1, 13, 1000])
def test_reductions_match_float64_whatever_the_chunk(chunk):
    reduced = jax.jit(_reduce, static_argnums=3)(HIDDEN_GBTD, KERNEL_VD, BIAS_V, chunk)
    expected = _dense(*(np.asarray(x, np.float64) for x in (HIDDEN_GBTD, KERNEL_VD, BIAS_V)))
    actual = (reduced.log_sum_exp, reduced.target_logit, reduced.input_logit, reduced.sum_f)
    for a, b in zip(actual, expected):
        np.testing.assert_allclose(a, b, atol=1e-5)
    np.testing.assert_allclose(nll(reduced), expected[0] - expected[1], atol=1e-5)


def test_every_reduction_has_its_own_gradient_per_token():
    coefficients = jnp.asarray(RANDOM.normal(size=(4, G, B, T)), jnp.float32)

    def ours(*arguments):
        reduced = _reduce(*arguments, 13)
        parts = (reduced.log_sum_exp, reduced.target_logit, reduced.input_logit, reduced.sum_f)
        return sum((c * part).sum() for c, part in zip(coefficients, parts))

    def dense(*arguments):
        return sum((c * part).sum() for c, part in zip(coefficients, _dense(*arguments, xp=jnp)))

    arguments = (HIDDEN_GBTD, KERNEL_VD, BIAS_V)
    for a, b in zip(jax.jit(jax.grad(ours, (0, 1, 2)))(*arguments), jax.grad(dense, (0, 1, 2))(*arguments)):
        np.testing.assert_allclose(a, b, atol=3e-5)


def test_what_is_not_asked_for_is_not_there():
    reduced = vocabulary_reductions(HIDDEN_GBTD[0, 0], _head(), TARGETS_BT[0], chunk=4)
    assert reduced.input_logit is None
    assert reduced.sum_f is None


def test_entropy_is_a_sum_over_probabilities():
    uniform = Head(jnp.zeros((V, D)), never_V=NEVER_V)
    reduced = vocabulary_reductions(HIDDEN_GBTD, uniform, TARGETS_BT, f=lambda p: -p * jnp.log(p), chunk=8)
    np.testing.assert_allclose(reduced.sum_f, np.log(V - 1), rtol=1e-6)


def test_a_mixture_is_a_normalised_distribution():
    """Summed over every possible target, the probabilities of two gated experts give 1."""
    log_gate_GBT = jax.nn.log_softmax(jnp.asarray(RANDOM.normal(size=(G, B, T)), jnp.float32), axis=0)

    @jax.jit
    def probability(target):
        targets_BT = jnp.full((B, T), target)
        reduced = vocabulary_reductions(HIDDEN_GBTD, _head(), targets_BT, chunk=64)
        return jnp.exp(-mixture_nll(nll(reduced), log_gate_GBT))

    np.testing.assert_allclose(sum(probability(target) for target in range(V)), 1, rtol=1e-5)


def test_a_closed_gate_leaves_one_expert():
    reduced = vocabulary_reductions(HIDDEN_GBTD, _head(), TARGETS_BT, chunk=64)
    log_gate_GBT = jnp.log(jnp.array([0.0, 1.0]))[:, None, None] * jnp.ones((G, B, T))
    np.testing.assert_allclose(mixture_nll(nll(reduced), log_gate_GBT), nll(reduced)[1], rtol=1e-6)


def test_logits_of_one_chunk_at_a_time_are_in_memory():
    tokens, width, vocabulary, chunk = 8192, 16, 2001, 128

    def loss(hidden, kernel_VD, targets):
        return nll(vocabulary_reductions(hidden, Head(kernel_VD), targets, chunk=chunk)).sum()

    lowered = jax.jit(jax.grad(loss, (0, 1))).lower(
        jax.ShapeDtypeStruct((8, tokens // 8, width), jnp.float32),
        jax.ShapeDtypeStruct((vocabulary, width), jnp.float32),
        jax.ShapeDtypeStruct((8, tokens // 8), jnp.int32),
    )
    assert lowered.compile().memory_analysis().temp_size_in_bytes < 4 * tokens * vocabulary / 8
