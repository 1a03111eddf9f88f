import jax
import jax.numpy as jnp
import numpy as np

from hybridlm.facts.head import Head, logits

RANDOM = np.random.default_rng(0)
HIDDEN = RANDOM.normal(size=(2, 3, 4)).astype(np.float32)
KERNEL = RANDOM.normal(size=(5, 4)).astype(np.float32)
BIAS = RANDOM.normal(size=5).astype(np.float32)


def test_logits_are_capped_before_the_bias_and_forbidden_last():
    never = np.array([False, True, False, False, True])
    head = Head(jnp.asarray(KERNEL), jnp.asarray(BIAS), jnp.asarray(never), softcap=1.5)
    wanted = 1.5 * np.tanh(HIDDEN @ KERNEL.T / 1.5) + BIAS
    found = np.asarray(logits(head, jnp.asarray(HIDDEN)))
    np.testing.assert_allclose(found[..., ~never], wanted[..., ~never], rtol=1e-5)
    assert np.all(np.asarray(jax.nn.softmax(found))[..., never] == 0)
    assert np.isfinite(np.asarray(jax.nn.log_softmax(found))).all()


def test_half_precision_states_give_float32_logits():
    found = logits(Head(jnp.asarray(KERNEL)), jnp.asarray(HIDDEN, jnp.bfloat16))
    assert found.dtype == jnp.float32
    rounded = [np.asarray(jnp.asarray(x, jnp.bfloat16), np.float32) for x in (HIDDEN, KERNEL)]
    np.testing.assert_allclose(found, rounded[0] @ rounded[1].T, rtol=1e-5, atol=1e-5)
