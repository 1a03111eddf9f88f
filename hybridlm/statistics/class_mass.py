"""Did brackets occur as often as the model's probability of brackets said? Calibration of whole classes of tokens."""

import dataclasses

import numpy as np
from jaxtyping import Float, Real

from hybridlm.statistics.intervals import Intervals, bootstrap
from hybridlm.statistics.linearised import clusters_with, ratio


@dataclasses.dataclass(frozen=True)
class ClassMass:
    """Attributes:
    expected_C: share of the tokens that the model gave the class. observed_C: share that it had.
    excess: expected − observed share. fold: expected over observed, 1 if calibrated; NaN if the class never occurred.
    """

    expected_C: Float[np.ndarray, "C"]
    observed_C: Float[np.ndarray, "C"]
    excess: Intervals
    fold: Intervals


def class_mass(
    mass_NC: Float[np.ndarray, "N C"],
    count_NC: Real[np.ndarray, "N C"],
    tokens_N: Real[np.ndarray, "N"],
    *,
    seed: int,
    draws: int = 2000,
    level: float = 0.95,
) -> ClassMass:
    """Compares the probability mass of classes, added up over all tokens of a cluster, with the tokens they had."""
    sums, options = (mass_NC, count_NC, tokens_N[:, None]), {"seed": seed, "draws": draws, "level": level}
    clusters_C = np.full(mass_NC.shape[1], (tokens_N > 0).sum())
    tokens = tokens_N.sum()
    return ClassMass(
        expected_C=mass_NC.sum(0) / tokens,
        observed_C=count_NC.sum(0) / tokens,
        excess=bootstrap(lambda mass, count, all_: (mass - count) / all_, sums, clusters_C, **options),
        fold=bootstrap(ratio, sums[:2], clusters_with(count_NC), **options),
    )
