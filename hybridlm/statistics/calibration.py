"""Does a confidence of p come true p of the time? Expected calibration error of each category, in bins of equal mass.

ECE = Σ_b |Σ (confidence − is correct)| / tokens. It is above zero for a perfect model too, so each stands beside its
floor: what draws around no error at all give. Label a token by what was known before it, such as the class of the
likeliest token: labels of the outcome pick confidences by whether they came true, and a perfect model fails on them.

Confidences are binned twice: finely once to find bins of equal mass, then into those, cluster by cluster. Both sums are
additive over pieces of the text.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import special

from hybridlm.config.errors import require
from hybridlm.statistics.intervals import Intervals, percentiles
from hybridlm.statistics.linearised import clusters_with, ratio, standard_error
from hybridlm.statistics.resampling import resample
from hybridlm.statistics.sums import cluster_sums

FINE = 2048
_LOGIT = 16.0
"""Fine bins are equally wide in log-odds up to this one, beyond what float32 tells from certainty."""


@dataclasses.dataclass(frozen=True)
class Binned:
    """Sums per cluster, category and bin: tokens, how many of them correct, and their confidences."""

    count_NCB: Float[np.ndarray, "N C B"]
    correct_NCB: Float[np.ndarray, "N C B"]
    confidence_NCB: Float[np.ndarray, "N C B"]

    def __add__(self, other: "Binned") -> "Binned":
        return Binned(*(getattr(self, f.name) + getattr(other, f.name) for f in dataclasses.fields(self)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """Attributes:
    plain_C: ECE as it is usually given.
    error: the same less its upward bias, which the draws show once more; from 0 where p_C rules out no perfect model.
    floor_C: the ECE that a perfectly calibrated model would show on as much text, on average.
    p_C: probability of an ECE so large if the model were perfectly calibrated.
    count_CB, confidence_CB, accuracy_CB: the reliability curve; a bin without tokens is NaN.
    accuracy_error_CB: clustered standard error of accuracy; NaN below two clusters.
    """

    plain_C: Float[np.ndarray, "C"]
    error: Intervals
    floor_C: Float[np.ndarray, "C"]
    p_C: Float[np.ndarray, "C"]
    count_CB: Float[np.ndarray, "C B"]
    confidence_CB: Float[np.ndarray, "C B"]
    accuracy_CB: Float[np.ndarray, "C B"]
    accuracy_error_CB: Float[np.ndarray, "C B"]


def fine_counts(
    confidence_T: Float[np.ndarray, "T"], label_MT: Int[np.ndarray, "M T"], categories: int
) -> Float[np.ndarray, "C F"]:
    """How many tokens of each category fall into each of the fixed fine bins."""
    one_T, fine_T = np.ones(confidence_T.size), _fine(confidence_T)
    by_bin_FC = cluster_sums(one_T, fine_T, label_MT, clusters=FINE, categories=categories)
    return by_bin_FC.T


def _fine(confidence_T):
    require(
        bool(((confidence_T >= 0) & (confidence_T <= 1)).all()),
        f"a confidence is a probability, but they run from {confidence_T.min()} to {confidence_T.max()}; pass the "
        "probability of the likeliest token, not its logarithm.",
    )
    logit_T = np.clip(special.logit(confidence_T.astype(np.float64)), -_LOGIT, _LOGIT)
    return np.minimum((logit_T + _LOGIT) * (FINE / (2 * _LOGIT)), FINE - 1).astype(np.int64)


def equal_mass(fine_CF: Float[np.ndarray, "C F"], bins: int = 15) -> Int[np.ndarray, "C F"]:
    """The bin of each fine bin, such that a category's tokens spread evenly; many equal confidences share one bin."""
    middle_CF = fine_CF.cumsum(1) - fine_CF / 2
    return np.minimum(bins * middle_CF / np.maximum(fine_CF.sum(1, keepdims=True), 1), bins - 1).astype(np.int64)


def binned(
    confidence_T: Float[np.ndarray, "T"],
    is_correct_T: Bool[np.ndarray, "T"],
    cluster_T: Int[np.ndarray, "T"],
    label_MT: Int[np.ndarray, "M T"],
    bin_CF: Int[np.ndarray, "C F"],
    *,
    clusters: int,
) -> Binned:
    """Adds up one piece of the text by cluster, flat label and bin; a negative label counts nowhere."""
    categories, bins = len(bin_CF), int(bin_CF.max()) + 1
    place_MT = np.where(label_MT < 0, -1, label_MT * bins + bin_CF[label_MT, _fine(confidence_T)])
    sums = (
        cluster_sums(value_T, cluster_T, place_MT, clusters=clusters, categories=categories * bins)
        for value_T in (np.ones(confidence_T.size), is_correct_T.astype(np.float64), confidence_T)
    )
    return Binned(*(array.reshape(clusters, categories, bins) for array in sums))


def calibration(sums: Binned, *, seed: int, draws: int = 1000, level: float = 0.95) -> Calibration:
    """ECE with interval, floor and p, and the reliability curve, of every category."""
    count_NC, shape_CB = sums.count_NCB.sum(2), sums.count_NCB.shape[1:]
    excess_NK = _flat(sums.confidence_NCB - sums.correct_NCB)
    excess_RK, count_RC = resample((excess_NK, count_NC), seed=seed, draws=draws)
    excess_CB, excess_RCB = excess_NK.sum(0).reshape(shape_CB), excess_RK.reshape(draws, *shape_CB)
    count_C, clusters_C, count_CB = count_NC.sum(0), clusters_with(count_NC), sums.count_NCB.sum(0)
    error_C, null_RC = _ece(excess_CB, count_C), _ece(excess_RCB - excess_CB, count_C)
    p_C = np.where(clusters_C > 1, ((null_RC >= error_C).sum(0) + 1) / (draws + 1), np.nan)
    found = _unbiased(error_C, _ece(excess_RCB, count_RC), clusters_C, level)
    return Calibration(
        plain_C=error_C,
        error=dataclasses.replace(found, low_C=np.where(p_C > 1 - level, 0, found.low_C)),
        floor_C=np.where(clusters_C > 1, null_RC.mean(0), np.nan),
        p_C=p_C,
        count_CB=count_CB,
        confidence_CB=ratio(sums.confidence_NCB.sum(0), count_CB),
        accuracy_CB=ratio(sums.correct_NCB.sum(0), count_CB),
        accuracy_error_CB=standard_error(_flat(sums.correct_NCB), _flat(sums.count_NCB)).reshape(shape_CB),
    )


def _flat(sums_NCB):
    return sums_NCB.reshape(len(sums_NCB), -1)


def _ece(excess, count):
    return ratio(np.abs(excess).sum(-1), np.broadcast_to(count, excess.shape[:-1]))


def _unbiased(error_C, drawn_RC, clusters_C, level):
    """The draws mirrored at the estimate: they exceed it by about as much as it exceeds the truth (basic bootstrap)."""
    mirrored_RC = np.maximum(2 * error_C - drawn_RC, 0)
    mean_C = np.maximum(2 * error_C - ratio(np.nansum(drawn_RC, 0), np.isfinite(drawn_RC).sum(0)), 0)
    return percentiles(mean_C, mirrored_RC, clusters_C, level)
