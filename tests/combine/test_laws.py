"""What holds of every combination: it is one distribution, it never saw the target, and a closed gate is one expert."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridlm.combine.combined import Frequencies, combined
from hybridlm.combine.rules import normalised
from hybridlm.config import combination as config
from hybridlm.config.combination import Calibration, Combination
from hybridlm.facts.head import NEVER

V, NEVER_IDS = 24, [0, 7]
FREQUENCIES = Frequencies(log_V=jnp.linspace(-1, -12, V), band_V=jnp.arange(V) * 3 // V)
WEIGHTS = (0.2, -0.5, 0.5, 1.0, -1.0, 0.1, -0.1)
BANDS = Calibration(bands="frequency_mass", slopes=(1.0, 0.8, 2.0), offsets=(0.5, 0.0, -3.0))
ALL = {
    "average": config.average(0.3),
    "product": config.product(0.3),
    "by confidence": Combination(gate="confidence", sharpness=2.0),
    "by entropy": Combination(gate="entropy", rule="log_linear"),
    "by expected frequency": config.frequency_gate(-5.0, 2.0),
    "learned product": config.learned_gate(WEIGHTS, rule="log_linear"),
    "token-adaptive": config.token_adaptive(),
    "refiner that mixes": config.refiner(0.4, share=0.5, rule="log_linear"),
    "adjusted": config.average(0.5, calibration=Calibration(adjustment=0.7)),
    "calibrated by band": config.average(0.5, calibration=dataclasses.replace(BANDS, adjustment=-0.5)),
    "one's own": Combination(gate="tests.combine.test_gates:half_where_sure"),
}
EVERY = pytest.mark.parametrize("name", ALL)


@functools.cache
def joined(name):
    """logits [2 N V], a token each -> what is combined, and the gradient of the tokens' NLL in the logits."""

    def nll(logits, token_N):
        found = combined(ALL[name], *normalised(logits), FREQUENCIES)
        return -jnp.take_along_axis(found.logp_NV, token_N[:, None], -1).sum(), found

    return jax.jit(lambda logits, token_N: jax.grad(nll, has_aux=True)(logits, token_N)[::-1])


def ordinary(seed):
    return jnp.asarray(np.random.default_rng(seed).normal(0, 3, (2, 6, V)), jnp.float32)


@st.composite
def predictions(draw):
    """Logits [2, 6, V] that are hard in some way, some ids of which are never predicted."""
    random = np.random.default_rng(draw(st.integers(0, 2**31)))
    kinds = {
        "ordinary": lambda: random.normal(0, 3, V),
        "extreme": lambda: random.choice([-200.0, 200.0], V),
        "equal": lambda: np.full(V, random.choice([-200.0, 0.0, 200.0])),
        "certain": lambda: np.where(np.arange(V) == random.integers(1, 7), 300.0, -300.0),
        "impossible": lambda: np.where(random.uniform(size=V) < 0.5, -np.inf, random.normal(0, 3, V)),
    }
    rows = [kinds[draw(st.sampled_from(sorted(kinds)))]() for _ in range(12)]
    rows = np.stack([np.where(np.isfinite(row).any(), row, 0) for row in rows]).reshape(2, 6, V)
    return jnp.where(jnp.isin(jnp.arange(V), jnp.array(NEVER_IDS)), NEVER, rows.astype(np.float32))


@EVERY
@settings(max_examples=12)
@given(logits=predictions())
def test_it_is_a_distribution_whatever_the_logits(name, logits):
    """And the NLL of the token that the two together think likeliest has a finite gradient in every logit."""
    found, gradient = joined(name)(logits, jnp.argmax(logits.sum(0), -1))
    p_NV = np.exp(np.asarray(found.logp_NV, np.float64))
    np.testing.assert_allclose(p_NV.sum(-1), 1, atol=3e-6)
    assert np.isfinite(found.logp_NV).all()
    assert np.isfinite(gradient).all()
    assert not p_NV[:, NEVER_IDS].any(), "what neither predicts, no combination predicts"
    share_N = np.asarray(found.share_N)
    assert ((share_N >= 0) & (share_N <= 1)).all()


@EVERY
def test_the_target_changes_no_distribution(name):
    """Read off with every id as the target in turn, probabilities sum to 1 (gate leakage)."""
    logits = ordinary(2)
    asked = [joined(name)(logits, jnp.full(6, target, jnp.int32)) for target in range(V)]
    p_NV = np.stack([np.exp(found.logp_NV[:, target]) for target, (found, _) in enumerate(asked)], axis=1)
    np.testing.assert_allclose(p_NV.sum(1), 1, atol=2e-6)
    assert len({np.asarray(found.logp_NV).tobytes() for found, _ in asked}) == 1


CLOSED = {
    "average": (1.0, 0.0, lambda share: config.average(share)),
    "product": (1.0, 0.0, lambda share: config.product(share)),
    "refiner that mixes": (1.0, 0.0, lambda share: config.refiner(1.0, share=share)),
    "refiner, product": (1.0, 0.0, lambda share: config.refiner(1.0, share=share, rule="log_linear")),
    "confidence": (1e9, None, lambda s: Combination(gate="confidence", sharpness=s)),
    "expected frequency": (-1e9, 1e9, lambda threshold: config.frequency_gate(threshold)),
    "expected frequency, product": (-1e9, 1e9, lambda threshold: config.frequency_gate(threshold, rule="log_linear")),
    "learned": (200.0, -200.0, lambda bias: config.learned_gate((bias, *[0.0] * 6))),
}


@pytest.mark.parametrize("name", CLOSED)
def test_a_closed_gate_is_one_expert_to_the_last_bit(name):
    """The first is surer than the second everywhere, but never certain."""
    first, second, make = CLOSED[name]
    logits = ordinary(0) * jnp.array([2.0, 0.1])[:, None, None]
    a, b = normalised(jnp.where(jnp.arange(V) == 7, NEVER, logits))
    for number, expert in ((first, a), (second, b)):
        if number is not None:
            np.testing.assert_array_equal(combined(make(number), a, b, FREQUENCIES).logp_NV, expert)


@pytest.mark.parametrize("name", ["average", "product", "by entropy", "refiner that mixes"])
def test_two_equal_experts_are_one(name):
    logits = jnp.stack([ordinary(1)[0]] * 2)
    found, _ = joined(name)(logits, jnp.zeros(6, jnp.int32))
    np.testing.assert_allclose(found.logp_NV, normalised(logits[0]), atol=2e-6)


def test_a_gate_by_the_targets_own_frequency_would_not_be_one():
    """The trap: shares that depend on the answer make probabilities that do not sum to 1."""
    a, b = normalised(ordinary(3))
    share_V = jax.nn.sigmoid(FREQUENCIES.log_V + 6)
    leaked = share_V * jnp.exp(a) + (1 - share_V) * jnp.exp(b)
    assert (np.abs(leaked.sum(-1) - 1) > 0.01).all()
