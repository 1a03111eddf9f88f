"""A network as a prediction of every token at its own place."""

import jax
import jax.numpy as jnp
import numpy as np

from hybridlm import masks
from hybridlm.sampling.predictions import of_network
from hybridlm.sampling.rows import facts_of

MASK = masks.causal() & masks.same_segment() & masks.valid()


def test_a_next_token_is_predicted_from_what_is_before_it_alone(small):
    """Changing token 2 changes the predictions of the tokens after it; one that predicts its own place, from 2 on."""
    network, noise_BT = small(), jnp.zeros((2, 5))
    tokens_BT = jnp.array([[1, 5, 3, 7, 2], [1, 5, 4, 7, 2]])

    @jax.jit
    def both(network):
        facts = facts_of((2, 5))
        return [of_network(network, MASK, predicts=where)(tokens_BT, facts, noise_BT) for where in ("next", "same")]

    shifted_BTV, same_BTV = both(network)
    np.testing.assert_allclose(shifted_BTV[:, 1:], same_BTV[:, :-1], atol=1e-6)
    is_changed_T = (abs(shifted_BTV[0] - shifted_BTV[1]) > 1e-4).any(-1)
    assert is_changed_T[1:].tolist() == [False, False, True, True]
