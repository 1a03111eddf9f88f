"""What a confidence-gated refiner costs: how many tokens of each text the second expert has to look at."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclasses.dataclass(frozen=True)
class Latency:
    """Attributes: fraction: refined tokens of all that count. sequences_K: texts in which k tokens were refined."""

    fraction: float
    sequences_K: Int[np.ndarray, "K"]

    @property
    def mean(self) -> float:
        """Refined tokens per text: calls of the second expert, if each refines one token."""
        return float(np.average(np.arange(self.sequences_K.size), weights=self.sequences_K))


def latency(share_RS: Float[np.ndarray, "R S"], is_counted_RS: Bool[np.ndarray, "R S"]) -> Latency:
    """From the share of the first expert in every token: 1 where it was kept. Host only."""
    is_refined_RS = (np.asarray(share_RS) < 1) & np.asarray(is_counted_RS)
    count_R = is_refined_RS.sum(1)
    return Latency(float(count_R.sum() / max(np.sum(is_counted_RS), 1)), np.bincount(count_R))
