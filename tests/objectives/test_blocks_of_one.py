"""Blocks of one token, trained from scratch, learn what autoregression learns (BD3-LM, arXiv:2503.09573, table 1)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.config.objective import autoregressive, block_diffusion
from hybridlm.objectives import single
from hybridlm.objectives.text import Text
from tests.objectives.test_learning import train

STEPS, ROWS, LENGTH, WORDS, SEEDS = 120, 16, 8, 4, 3


@pytest.fixture
def repeats():
    """Documents that repeat one word of four: the first costs log 4, the others nothing."""
    word_B1 = np.random.default_rng(0).integers(3, 3 + WORDS, (STEPS * ROWS, 1))
    tokens_BT = np.concatenate([np.full_like(word_B1, 2), np.tile(word_B1, LENGTH)], axis=1)
    ones_BT = jnp.ones(tokens_BT.shape, jnp.int32)
    return Text(jnp.asarray(tokens_BT, jnp.int32), ones_BT, ones_BT * jnp.arange(LENGTH + 1), {})


def test_they_end_where_autoregression_ends(repeats, ids):
    """A token that saw itself would cost less than the text holds, and one that saw nothing log 4 each time."""

    def ends(objective):
        inputs = single.build("one", objective, repeats, ids, jax.random.key(0))
        return np.array([train(inputs, STEPS, seed)[-20:].mean() for seed in range(SEEDS)])

    left_to_right, one_by_one = ends(autoregressive()), ends(block_diffusion(1, corruption="all"))
    np.testing.assert_allclose([left_to_right, one_by_one], np.log(WORDS) / LENGTH, atol=0.03)
    noise = np.hypot(left_to_right.std(ddof=1), one_by_one.std(ddof=1))
    assert abs(left_to_right.mean() - one_by_one.mean()) < 2 * noise
