"""Scores of combinations against float64 on whole logits, whatever the chunks; and of one expert against its own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.combine.combined import Frequencies, combined
from hybridlm.config import combination as config
from hybridlm.config.combination import Calibration, Combination
from hybridlm.config.errors import ConfigError
from hybridlm.facts.head import Head
from hybridlm.scoring.combined import combined_nll, combined_scores
from hybridlm.scoring.layout import lay_out
from hybridlm.scoring.token_scores import token_scores

V, NEVER_ID, B, T = 40, 5, 2, 11
RANDOM = np.random.default_rng(0)
classes_VF = np.stack([RANDOM.integers(0, 3, V), 3 + np.arange(V) % 2], 1)
LAYOUT = lay_out(V, classes_VF)
WIDTHS = (6, 9)  # two networks may differ in all but the vocabulary
HEADS = [
    Head(
        kernel_VD=jnp.asarray(RANDOM.normal(size=(V, width)), jnp.float32),
        bias_V=jnp.asarray(RANDOM.normal(size=V), jnp.float32),
        never_V=jnp.arange(V) == NEVER_ID,
    )
    for width in WIDTHS
]
HIDDEN = [jnp.asarray(RANDOM.normal(size=(B, T, width)), jnp.float32) for width in WIDTHS]
TARGETS = jnp.asarray(RANDOM.integers(NEVER_ID + 1, V, (B, T)), jnp.int32)
NEEDED = jnp.asarray(RANDOM.uniform(size=(B, T)) < 0.7)
FREQUENCIES = Frequencies(log_V=jnp.linspace(-1, -9, V), band_V=jnp.arange(V) * 2 // V)
LOG_F = np.linspace(-1, -9, V)


def log_p(hidden, head):
    z = np.asarray(hidden, np.float64) @ np.asarray(head.kernel_VD, np.float64).T + np.asarray(head.bias_V, np.float64)
    z = np.where(np.arange(V) == NEVER_ID, -np.inf, z)
    return z - np.logaddexp.reduce(z, axis=-1, keepdims=True)


def entropy(logp):
    return -np.where(np.isfinite(logp), np.exp(logp) * np.where(np.isfinite(logp), logp, 0), 0).sum(-1)


def by_entropy(a, b):
    share = 1 / (1 + np.exp(-2.0 * (entropy(b) - entropy(a))))
    return np.logaddexp(np.log(share)[..., None] + a, np.log(1 - share)[..., None] + b), share


def adjusted_product_by_frequency(a, b):
    share = 1 / (1 + np.exp(-((np.exp(a) * LOG_F).sum(-1) + 4.0)))
    z = share[..., None] * a + (1 - share[..., None]) * b - 0.5 * LOG_F
    return z - np.logaddexp.reduce(z, axis=-1, keepdims=True), share


CASES = {
    "by entropy": (Combination(gate="entropy", sharpness=2.0), by_entropy),
    "adjusted product by frequency": (
        config.frequency_gate(-4.0, rule="log_linear", calibration=Calibration(adjustment=0.5)),
        adjusted_product_by_frequency,
    ),
}


def expected(logp, share, experts):
    """Every score of every target, by its definition."""
    rows, targets = logp.reshape(-1, V), np.asarray(TARGETS).ravel()
    n, p = np.arange(len(rows)), np.exp(rows)
    own_NVF = classes_VF[targets][:, None] == classes_VF
    others = np.where(np.arange(V) == targets[:, None], -np.inf, rows)
    top_five = np.argsort(-rows, axis=1)[:, :5]
    return {
        "nll": -rows[n, targets],
        "entropy": entropy(rows),
        "brier": ((p - np.eye(V)[targets]) ** 2).sum(1),
        "top_id": rows.argmax(1),
        "confidence": p.max(1),
        "is_correct": rows.argmax(1) == targets,
        "margin": rows[n, targets] - others.max(1),
        "rank": 1 + (others > rows[n, targets][:, None]).sum(1),
        "gate": -np.log((p[..., None] * own_NVF).sum(1)),
        "class_mass": np.stack([p[:, (classes_VF == c).any(1)].sum(1) for c in range(5)], 1),
        "is_in_top": (top_five == targets[:, None]).any(1),
        "share": share.ravel(),
        "expert_nll": np.stack([-x.reshape(-1, V)[n, targets] for x in experts], 1),
    }


@pytest.mark.parametrize("name", CASES)
def test_every_score_is_that_of_float64_on_whole_logits(name):
    """Chunks of 4 of 11 tokens in each of 2 shards, the unneeded left out."""
    combination, oracle = CASES[name]
    combine = functools.partial(combined, combination, frequencies=FREQUENCIES)
    score = jax.jit(lambda: combined_scores(HIDDEN, HEADS, TARGETS, combine, NEEDED, layout=LAYOUT, groups=2, chunk=4))
    scores, is_needed = score(), np.asarray(NEEDED).ravel()
    experts = [log_p(*pair) for pair in zip(HIDDEN, HEADS)]
    for what, values in expected(*oracle(*experts), experts).items():
        found = np.asarray(scores.is_in_top() if what == "is_in_top" else getattr(scores, what))
        found = found.reshape(B * T, *found.shape[2:])
        assert not found[~is_needed].any()
        np.testing.assert_allclose(found[is_needed], values[is_needed], rtol=2e-5, atol=2e-5, err_msg=what)


def test_a_closed_gate_scores_as_the_expert_alone():
    combine = functools.partial(combined, config.average(1.0), frequencies=FREQUENCIES)
    both = jax.jit(lambda: combined_scores(HIDDEN, HEADS, TARGETS, combine, layout=LAYOUT))()
    alone = jax.jit(lambda: token_scores(HIDDEN[0], HEADS[0], TARGETS, layout=LAYOUT))()
    for name, value in vars(alone).items():
        np.testing.assert_allclose(getattr(both, name), value, rtol=1e-5, atol=2e-6, err_msg=name)
    np.testing.assert_array_equal(both.share, 1)
    np.testing.assert_allclose(both.expert_nll[..., 0], alone.nll, rtol=1e-6)


def test_the_nll_that_is_fitted_is_the_nll_that_is_scored_and_its_gradient_is_right():
    """The slope of the mean NLL in the share, by autodiff through the chunks and by hand: −Σ (p_a − p_b) / p."""
    flat = [states.reshape(B * T, -1) for states in HIDDEN]

    def mean(share):
        def combine(a, b):
            found = combined(config.average(0.3), a, b, FREQUENCIES)
            mixed = jnp.logaddexp(jnp.log(share) + a, jnp.log1p(-share) + b)
            return type(found)(logp_NV=mixed, share_N=found.share_N, context=found.context)

        return combined_nll(flat, HEADS, TARGETS.ravel(), combine, chunk=5).mean()

    value, slope = jax.jit(jax.value_and_grad(mean))(0.3)
    a, b = (np.exp(log_p(*pair)).reshape(-1, V)[np.arange(B * T), TARGETS.ravel()] for pair in zip(HIDDEN, HEADS))
    np.testing.assert_allclose(value, -np.log(0.3 * a + 0.7 * b).mean(), rtol=1e-5)
    np.testing.assert_allclose(slope, -((a - b) / (0.3 * a + 0.7 * b)).mean(), rtol=1e-4)


def test_heads_of_different_vocabularies_are_refused():
    smaller = Head(HEADS[1].kernel_VD[:-1])
    with pytest.raises(
        ConfigError, match="must share one vocabulary, and of these 'a' predicts 40, 'b' predicts 39 ids"
    ):
        combined_scores(HIDDEN, [HEADS[0], smaller], TARGETS, functools.partial(combined, config.average()))
