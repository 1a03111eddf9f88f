"""Written tokens that are masked again, so that a sampler can revise itself (ReMDM, Wang et al., arXiv:2503.00307).

From time t to s a written token is masked with probability σ ≤ (1−α_s)/α_t, and a masked one stays so with probability
(1−α_s−σα_t)/(1−α_t): for every σ the share of masked tokens follows the schedule. σ = 0 is ancestral sampling.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hybridlm.config.errors import one_of, require
from hybridlm.sampling.canvas import Canvas

_LEAST = 1e-9


@dataclasses.dataclass(frozen=True, kw_only=True)
class Remask:
    """How much is masked again.

    Attributes:
      kind: "cap" makes σ the smaller of `eta` and what is possible, "rescale" `eta` times what is possible.
      eta: from 0, never, to 1.
      by_confidence: shares σ out over a row's written tokens by a softmax of minus their confidence.
      hold: the time at which half of the steps are spent, alone remasking, with 45 % of the steps before and 5 %
        after; 0 lets time run evenly and remasks all along.
    """

    kind: str = "cap"
    eta: float = 0.0
    by_confidence: bool = False
    hold: float = 0.0

    def __post_init__(self):
        one_of("remask.kind", self.kind, ("cap", "rescale"))
        require(
            0 <= self.eta <= 1,
            f"remask.eta={self.eta} must lie between 0, nothing is masked again, and 1, all that the schedule allows.",
        )
        require(
            0 <= self.hold < 1,
            f"remask.hold={self.hold} is a time between clean text at 0 and noise at 1; 0 lets time run evenly.",
        )

    def times(self, steps: int) -> Float[np.ndarray, "N"]:
        """The times between the steps, from 1 to 0."""
        progress_N = np.arange(steps + 1) / steps
        if not self.hold:
            return 1 - progress_N
        return np.interp(progress_N, (0, 0.45, 0.95, 1), (1, self.hold, self.hold, 0))

    def sigma(self, canvas: Canvas, noise_t: Float[Array, ""], noise_s: Float[Array, ""]) -> Float[Array, "#B #T"]:
        """Probability that a written token is masked again, where the share of noise falls from `noise_t`."""
        most = jnp.minimum(1.0, noise_s / jnp.maximum(1 - noise_t, _LEAST))
        sigma = jnp.minimum(self.eta, most) if self.kind == "cap" else self.eta * most
        if self.hold:
            sigma = jnp.where(noise_t == noise_s, sigma, 0.0)
        if not self.by_confidence:
            return sigma[None, None]
        is_written_BT = canvas.is_open_BT & ~canvas.is_masked_BT
        share_BT = jax.nn.softmax(-canvas.confidence_BT, axis=1, where=is_written_BT)
        return sigma * jnp.where(is_written_BT, share_BT, 0.0)


NEVER_AGAIN = Remask()
"""Ancestral sampling."""
