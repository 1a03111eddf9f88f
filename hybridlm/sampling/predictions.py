"""Networks as predictions: logits of every token at its own place, which is all that a diffusion sampler asks."""

import jax.numpy as jnp

from hybridlm import attention
from hybridlm.masks import Mask
from hybridlm.sampling.canvas import Predict
from hybridlm.sampling.network import Network


def of_network(network: Network, mask: Mask, *, predicts: str = "same") -> Predict:
    """The network reading whole rows; one that predicts "next" speaks at the place before each token."""

    def predict(tokens_BT, facts, noise_BT):
        def mix(layer, q_BTHK, k_BTJK, v_BTJK, state):
            plan = attention.plan(mask, facts, dtype=q_BTHK.dtype, head_width=q_BTHK.shape[-1])
            return plan.attend(q_BTHK, k_BTJK, v_BTJK), state

        hidden_BTD, _ = network.apply(network.params, tokens_BT, facts, mix, noise_BT=noise_BT)
        # nothing precedes a row's first token, which is given
        return network.logits(hidden_BTD if predicts == "same" else jnp.roll(hidden_BTD, 1, axis=1))

    return predict
