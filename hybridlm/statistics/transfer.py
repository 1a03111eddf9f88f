"""What would this model gain on my text? Class shares of the text times gaps measured class by class elsewhere.

gain = Σ_c s_c · d_c. Its variance is that of a product of independent vectors, s'Σs + d'Sd + tr ΣS, with Σ and S the
clustered covariances of gaps d and shares s. It assumes that a class has one gap in both texts; only scoring tells.
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Float, Int, Real
from scipy import stats

from hybridlm.config.errors import require
from hybridlm.statistics.intervals import FEW
from hybridlm.statistics.linearised import clusters_with, influence, ratio
from hybridlm.statistics.sums import Sums


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """Gaps of the labels of one family, with all that is needed to carry them over: no clusters, no text.

    Attributes:
      gap_C, covariance_CC: nats per unit, and how their errors go together; NaN below two clusters.
    """

    family: str
    labels: tuple[str, ...]
    gap_C: Float[np.ndarray, "C"]
    covariance_CC: Float[np.ndarray, "C C"]
    clusters_C: Int[np.ndarray, "C"]
    data: str
    unit: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gain:
    """Attributes:
    gain, low, high: expected nats per unit saved on the text, over its classes that were measured.
    error_of_gaps, error_of_text: the standard errors that measured gaps and the text's shares bring in.
    share_C, part_C: the text's classes, and what each adds to the gain; the parts sum to it. Zero where unmeasured.
    covered: share of the text in measured classes. unmeasured: the other classes it has.
    notes: what a reader has to know besides.
    """

    gain: float
    low: float
    high: float
    error_of_gaps: float
    error_of_text: float
    share_C: Float[np.ndarray, "C"]
    part_C: Float[np.ndarray, "C"]
    covered: float
    unmeasured: tuple[str, ...]
    notes: tuple[str, ...]


def measured(gap: Sums, family: str) -> Measured:
    """The gaps of a family as a record small enough to be stored and shipped."""
    columns = [c for c, (name, _) in enumerate(gap.categories) if name == family]
    known = ", ".join(sorted({name for name, _ in gap.categories}))
    require(bool(columns), f"no gaps of a family {family!r} were measured; there are {known}.")
    total_NC, count_NC = gap.total_NC[:, columns], gap.count_NC[:, columns]
    pulls_NC = influence(total_NC, count_NC)
    return Measured(
        family=family,
        labels=tuple(gap.categories[c][1] for c in columns),
        gap_C=ratio(total_NC.sum(0), count_NC.sum(0)),
        covariance_CC=pulls_NC.T @ pulls_NC,
        clusters_C=clusters_with(count_NC),
        data=gap.data,
        unit=gap.unit,
    )


def expected_gain(gaps: Measured, count_NC: Real[np.ndarray, "N C"], *, level: float = 0.95) -> Gain:
    """The gain on a text, from the tokens (or bytes) of each label in its clusters; labels in the order of the gaps."""
    require(
        count_NC.shape[1] == len(gaps.labels),
        f"the text was counted in {count_NC.shape[1]} classes, but {gaps.family!r} was measured in {len(gaps.labels)}; "
        "label it with the same families.",
    )
    is_measured_C = gaps.clusters_C > 1
    gap_C = np.where(is_measured_C, gaps.gap_C, 0)
    covariance_CC = np.where(np.outer(is_measured_C, is_measured_C), gaps.covariance_CC, 0)
    kept_NC = np.where(is_measured_C, count_NC, 0)
    require(bool(kept_NC.any()), f"the text has no {gaps.unit} of a class of {gaps.family!r} whose gap was measured.")
    share_C, pulls_NC, clusters = _shares(kept_NC)
    gain = float(share_C @ gap_C)
    of_gaps, of_text = float(share_C @ covariance_CC @ share_C), float(((pulls_NC @ gap_C) ** 2).sum())
    variance = of_gaps + of_text + float(((pulls_NC @ covariance_CC) * pulls_NC).sum())
    freedom = _freedom(variance, (of_gaps, int(gaps.clusters_C.max())), (of_text, clusters))
    reach = float(stats.t.ppf((1 + level) / 2, freedom)) * math.sqrt(variance)
    unmeasured = [label for label, lost in zip(gaps.labels, count_NC.sum(0) - kept_NC.sum(0)) if lost]
    return Gain(
        gain=gain,
        low=gain - reach,
        high=gain + reach,
        error_of_gaps=math.sqrt(of_gaps),
        error_of_text=math.sqrt(of_text),
        share_C=share_C,
        part_C=share_C * gap_C,
        covered=float(kept_NC.sum() / count_NC.sum()),
        unmeasured=tuple(unmeasured),
        notes=_notes(gaps, share_C, clusters),
    )


def _shares(count_NC):
    """The text's class shares, their influences, and its clusters; one cluster shows no variation, none is added."""
    count_N1 = count_NC.sum(1, keepdims=True)
    clusters = int((count_N1 > 0).sum())
    pulls_NC = influence(count_NC, np.broadcast_to(count_N1, count_NC.shape))
    return count_NC.sum(0) / count_N1.sum(), pulls_NC if clusters > 1 else np.zeros_like(pulls_NC), clusters


def _freedom(variance, *parts):
    """Degrees of freedom of a sum of variances, each from so many clusters (Welch and Satterthwaite)."""
    doubt = sum(part**2 / (clusters - 1) for part, clusters in parts if part)
    return variance**2 / doubt if doubt else math.inf


def _notes(gaps, share_C, clusters):
    few = [label for label, n, share in zip(gaps.labels, gaps.clusters_C, share_C) if share and n < FEW]
    notes = {
        "the text is one cluster: its class shares are taken as they are": clusters == 1,
        f"the text has {clusters} clusters: its interval may be too narrow": 1 < clusters < FEW,
        f"gaps of {', '.join(few)} were measured on fewer than {FEW} clusters": bool(few),
    }
    return tuple(note for note, is_true in notes.items() if is_true)
