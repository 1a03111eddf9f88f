"""What helping rare tokens costs the common ones, as a curve over one number such as tau of logit adjustment."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float


@dataclasses.dataclass(frozen=True)
class Curve:
    """Attributes: value_P: the number. rare_P, common_P, all_P: nats per token of each group."""

    value_P: Float[np.ndarray, "P"]
    rare_P: Float[np.ndarray, "P"]
    common_P: Float[np.ndarray, "P"]
    all_P: Float[np.ndarray, "P"]

    @property
    def is_efficient_P(self) -> Bool[np.ndarray, "P"]:
        """Is no other point at least as good for both groups and better for one?"""
        cost_PG = np.stack([self.rare_P, self.common_P], axis=1)
        no_worse_PP = (cost_PG[None] <= cost_PG[:, None]).all(-1)
        better_PP = (cost_PG[None] < cost_PG[:, None]).any(-1)
        return ~(no_worse_PP & better_PP).any(1)


def curve(value_P: Float[np.ndarray, "P"], nll_PN: Float[np.ndarray, "P N"], is_rare_N: Bool[np.ndarray, "N"]) -> Curve:
    """Mean costs of rare and common tokens at every value."""
    return Curve(value_P, nll_PN[:, is_rare_N].mean(1), nll_PN[:, ~is_rare_N].mean(1), nll_PN.mean(1))
