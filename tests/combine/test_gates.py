import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.combine.context import context
from hybridlm.combine.gates import gate
from hybridlm.config import combination as config
from hybridlm.config.combination import FEATURES, Combination
from hybridlm.config.errors import ConfigError

# two tokens: of the first, the first expert is sure and expects a common id; of the second, the second is
SURE, UNSURE = [0.98, 0.01, 0.01], [0.1, 0.3, 0.6]
A, B = jnp.log(jnp.array([SURE, UNSURE])), jnp.log(jnp.array([UNSURE, SURE]))
LOG_FREQUENCY = jnp.array([-1.0, -4.0, -9.0])
CONTEXT = context(A, B, LOG_FREQUENCY)


def half_where_sure(context):
    return jnp.where(context.confidence_a > 0.5, 0.5, 1.0)


def where_surer(context):
    return context.confidence_a > context.confidence_b


def shares(combination):
    return np.asarray(gate(combination.gate)(CONTEXT, combination))


def test_features_by_hand():
    entropy = -sum(p * np.log(p) for p in UNSURE)
    np.testing.assert_allclose(CONTEXT.entropy_a[1], entropy, rtol=1e-6)
    np.testing.assert_allclose(CONTEXT.confidence_a, [0.98, 0.6], rtol=1e-6)
    np.testing.assert_allclose(CONTEXT.log_frequency_b, [-0.1 - 1.2 - 5.4, -0.98 - 0.04 - 0.09], rtol=1e-6)
    for place, name in enumerate(FEATURES):
        np.testing.assert_array_equal(CONTEXT.features[:, place], getattr(CONTEXT, name))


def test_every_gate_by_hand():
    np.testing.assert_allclose(shares(config.average(0.3)), 0.3)
    # 0.98² / (0.98² + 0.6²)
    np.testing.assert_allclose(shares(Combination(gate="confidence", sharpness=2.0)), [0.72736, 0.27264], rtol=1e-4)
    entropies = np.array([0.11190, 0.89795])
    wanted = np.exp(-entropies) / np.exp(-entropies).sum()
    np.testing.assert_allclose(shares(Combination(gate="entropy")), wanted, rtol=1e-4)
    wanted = 1 / (1 + np.exp(-2 * (np.array([-1.11, -6.7]) + 3)))
    np.testing.assert_allclose(shares(config.frequency_gate(-3.0, 2.0)), wanted, rtol=1e-4)
    np.testing.assert_array_equal(shares(config.token_adaptive()), [1, 0])
    np.testing.assert_array_equal(shares(config.refiner(0.7)), [1, 0])
    np.testing.assert_array_equal(shares(config.refiner(0.7, share=0.25)), [1, 0.25])
    weights = (0.5, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0)
    wanted = 1 / (1 + np.exp(-(0.5 + 2 * np.array([0.98, 0.6]))))
    np.testing.assert_allclose(shares(config.learned_gate(weights)), wanted, rtol=1e-5)


def test_a_users_own_gate_gives_the_shares():
    np.testing.assert_array_equal(shares(Combination(gate=f"{__name__}:half_where_sure")), [0.5, 0.5])
    np.testing.assert_array_equal(gate(f"{__name__}:half_where_sure")(context(B, A, LOG_FREQUENCY), None), [0.5, 0.5])
    unsure = context(jnp.log(jnp.full((1, 3), 1 / 3)), A[:1], LOG_FREQUENCY)
    np.testing.assert_array_equal(gate(f"{__name__}:half_where_sure")(unsure, None), [1.0])
    np.testing.assert_array_equal(shares(Combination(gate=f"{__name__}:where_surer")), [1.0, 0.0])


def test_a_gate_that_is_not_fitted_is_refused():
    with pytest.raises(ConfigError, match="'learned' has no weights yet; fit them on held-out text"):
        shares(config.learned_gate())
