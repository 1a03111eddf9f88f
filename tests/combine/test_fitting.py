"""Fits to the expectation of the NLL under a known truth, so that no noise of draws hides what is found."""

import jax
import jax.numpy as jnp
import numpy as np

from hybridlm.combine.combined import Fitted, Frequencies, combined, unfitted, with_fitted
from hybridlm.combine.fitting import minimised
from hybridlm.combine.rules import normalised
from hybridlm.config.combination import Calibration, average, learned_gate

V, N = 12, 60
FREQUENCIES = Frequencies(log_V=jnp.linspace(-1, -9, V), band_V=jnp.arange(V) * 2 // V)
RANDOM = np.random.default_rng(0)
TRUTH = normalised(jnp.asarray(RANDOM.normal(0, 2, (N, V)), jnp.float32))


def nats(combination, a, b, fitted=None):
    """Expected nats per token that the combination costs under the truth."""
    logp_NV = combined(combination, a, b, FREQUENCIES, fitted).logp_NV
    return -(jnp.exp(TRUTH) * logp_NV).sum(-1).mean()


def fit(combination, a, b):
    start = unfitted(combination, bands=2)
    return with_fitted(combination, minimised(lambda fitted: nats(combination, a, b, fitted), start))


def test_a_learned_gate_finds_who_knows_what():
    """Each expert knows some tokens and nothing of the rest: the fitted gate beats both, their average and zero."""
    knows_a_N = np.arange(N) % 5 < 3
    flat = jnp.full((N, V), -np.log(V), jnp.float32)
    a, b = (jnp.where(knows_N[:, None], TRUTH, flat) for knows_N in (knows_a_N, ~knows_a_N))
    gate = fit(learned_gate(), a, b)
    others = [average(1.0), average(0.0), average(0.5), learned_gate((0.0,) * 7)]
    assert nats(gate, a, b) < min(float(nats(other, a, b)) for other in others) - 0.05
    share_N = np.asarray(combined(gate, a, b, FREQUENCIES).share_N)
    assert share_N[knows_a_N].mean() > 0.9
    assert share_N[~knows_a_N].mean() < 0.1


def test_calibration_by_band_undoes_a_distortion():
    """bent = 2.5 log p + 1.5 in the second band, so log p = 0.4 bent − 0.6 there."""
    bent = normalised(2.5 * TRUTH + 1.5 * FREQUENCIES.band_V)
    found = fit(average(1.0, calibration=Calibration(bands="frequency_mass")), bent, bent).calibration
    np.testing.assert_allclose(found.slopes, 0.4, rtol=0.01)
    np.testing.assert_allclose(np.diff(found.offsets), -0.6, atol=0.01)


def test_what_is_not_asked_for_is_not_fitted():
    assert unfitted(average(), bands=3) == Fitted()
    assert with_fitted(average(0.3), Fitted()) == average(0.3)


def test_an_expert_that_is_always_better_leaves_the_weights_finite():
    found, again = (minimised(lambda x: jax.nn.softplus(-x["bias"]).sum(), {"bias": jnp.zeros(1)}) for _ in range(2))
    assert 3 < float(found["bias"][0]) < 10
    assert found == again, "the same text gives the same numbers"
