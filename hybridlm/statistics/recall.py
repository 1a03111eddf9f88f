"""How well a model remembers what it has read: what repetition saves, and how that fades with distance."""

import numpy as np
from jaxtyping import Real

from hybridlm.statistics.intervals import Intervals, bootstrap
from hybridlm.statistics.linearised import clusters_with, ratio
from hybridlm.statistics.sums import Sums


def recall_efficiency(
    repeat_NC: Real[np.ndarray, "N C"],
    first_NC: Real[np.ndarray, "N C"],
    *,
    seed: int,
    draws: int = 2000,
    level: float = 0.95,
) -> Intervals:
    """1 − Σ nll of repeats / Σ nll of what they repeat, by category: 1 is perfect recall, 0 is none.

    Add up copies whose first occurrence was a surprise (more than 2 nats, say): only those can be recalled. What a
    repeat copies is added to the sum once for each repeat.
    """
    return bootstrap(
        lambda repeat, first: 1 - ratio(repeat, first),
        (repeat_NC, first_NC),
        clusters_with(first_NC),
        seed=seed,
        draws=draws,
        level=level,
    )


def distance_cliff(by_distance: Sums, *, seed: int, draws: int = 2000, level: float = 0.95) -> Intervals:
    """How far each distance bin's mean lies above the nearest's, the first column; of a model's losses, or of a gap."""
    clusters_C = clusters_with(by_distance.count_NC * (by_distance.count_NC[:, :1] > 0))
    return bootstrap(
        lambda total, count: ratio(total, count) - ratio(total, count)[..., :1],
        (by_distance.total_NC, by_distance.count_NC),
        clusters_C,
        seed=seed,
        draws=draws,
        level=level,
    )
