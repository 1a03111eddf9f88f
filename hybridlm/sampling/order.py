"""Which masked tokens to write next: a number per token, the foremost of which go first.

Where only predictions and tokens already written are read, one token at a time is exact: the text has the law that a
chain scores. More are written independently of each other, which even a perfect prediction does not make right
(arXiv:2602.19619). "confidence" reads what was drawn, too: likely draws are kept and others drawn anew, which acts like
a lower temperature; where the likeliest token is taken, it is the order of the chain by confidence.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from hybridlm.sampling.canvas import log_probability
from hybridlm.sampling.noise import Keys, uniform


def at_random(keys_B: Keys, logits_BTV: Float[Array, "B T V"], drawn_BT: Int[Array, "B T"]):
    """Any order alike: one at a time, absorbing diffusion seen at the moments something happens (first hitting)."""
    return uniform(keys_B, drawn_BT.shape[1])


def left_to_right(keys_B: Keys, logits_BTV: Float[Array, "B T V"], drawn_BT: Int[Array, "B T"]):
    """As text is read."""
    return jnp.broadcast_to(-jnp.arange(drawn_BT.shape[1], dtype=jnp.float32), drawn_BT.shape)


def confidence(keys_B: Keys, logits_BTV: Float[Array, "B T V"], drawn_BT: Int[Array, "B T"]):
    """log p of the token drawn (MaskGIT, arXiv:2202.04200; LLaDA, arXiv:2502.09992)."""
    return log_probability(logits_BTV, drawn_BT)


def margin(keys_B: Keys, logits_BTV: Float[Array, "B T V"], drawn_BT: Int[Array, "B T"]):
    """How far the likeliest token leads the second (Kim et al., arXiv:2502.06768)."""
    top_BT2 = jax.lax.top_k(jax.nn.softmax(logits_BTV, axis=-1), 2)[0]
    return top_BT2[..., 0] - top_BT2[..., 1]


def certainty(keys_B: Keys, logits_BTV: Float[Array, "B T V"], drawn_BT: Int[Array, "B T"]):
    """Minus the entropy of the prediction, in nats."""
    return -entropy(logits_BTV)


ORDERS = {
    "random": at_random,
    "left_to_right": left_to_right,
    "confidence": confidence,
    "margin": margin,
    "entropy": certainty,
}
"""By name; each gives a number per token from (keys_B, logits_BTV, drawn_BT), and the greatest go first."""


def entropy(logits_BTV: Float[Array, "B T V"]) -> Float[Array, "B T"]:
    """Entropy of each prediction in nats."""
    log_p_BTV = jax.nn.log_softmax(logits_BTV, axis=-1)
    return -jnp.sum(jnp.exp(log_p_BTV) * log_p_BTV, axis=-1)


def foremost(
    number_BT: Float[Array, "B T"], is_masked_BT: Bool[Array, "B T"], count_B: Int[Array, "B"]
) -> Bool[Array, "B T"]:
    """The `count_B` masked tokens of each row with the greatest numbers; of equals, the leftmost."""
    return is_masked_BT & (_rank(jnp.where(is_masked_BT, -number_BT, jnp.inf)) < count_B[:, None])


def within_bound(entropy_BT: Float[Array, "B T"], is_masked_BT: Bool[Array, "B T"], bound: float) -> Bool[Array, "B T"]:
    """The surest masked tokens of each row, each as long as the surer ones have at most `bound` of entropy together.

    The sum bounds what is lost by writing them independently of each other (Ben-Hamu et al., arXiv:2505.24857).
    """
    key_BT = jnp.where(is_masked_BT, entropy_BT, jnp.inf)
    rising_BT = jnp.sort(key_BT, axis=1)
    before_BT = jnp.cumsum(jnp.pad(rising_BT[:, :-1], ((0, 0), (1, 0))), axis=1)
    return is_masked_BT & jnp.take_along_axis(before_BT <= bound, _rank(key_BT), axis=1)


def _rank(key_BT: Float[Array, "B T"]) -> Int[Array, "B T"]:
    """Place of each token when its row is sorted, equals in the order they stand."""
    return jnp.argsort(jnp.argsort(key_BT, axis=1, stable=True), axis=1)
