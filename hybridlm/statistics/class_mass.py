"""Did brackets occur as often as the model's probability of brackets said? Calibration of whole classes of tokens."""

import dataclasses

import numpy as np
from jaxtyping import Float, Real

from hybridlm.statistics.intervals import Intervals, percentiles
from hybridlm.statistics.linearised import clusters_with, ratio
from hybridlm.statistics.resampling import resample


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
    mass_RC, count_RC, tokens_R1 = resample((mass_NC, count_NC, tokens_N[:, None]), seed=seed, draws=draws)
    mass_C, count_C, tokens = mass_NC.sum(0), count_NC.sum(0), tokens_N.sum()
    all_C = np.full(mass_C.shape, (tokens_N > 0).sum())
    return ClassMass(
        expected_C=mass_C / tokens,
        observed_C=count_C / tokens,
        excess=percentiles((mass_C - count_C) / tokens, (mass_RC - count_RC) / tokens_R1, all_C, level),
        fold=percentiles(ratio(mass_C, count_C), ratio(mass_RC, count_RC), clusters_with(count_NC), level),
    )
