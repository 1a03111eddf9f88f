"""Sums per cluster and category: all that the statistics need to know of per-token values, however many there were.

A category's mean is the ratio of sums Σ totals / Σ counts; a paired gap of two models is itself such sums.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Int, Real
from scipy import sparse

from hybridlm.config.errors import require
from hybridlm.facts.kinds import ScoreKind


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sums:
    """Attributes:
    total_NC: values added up, in nats. count_NC: tokens, or bytes where tokenizers differ.
    categories: (family, label) of each column; the labels of a family are a partition.
    data: hash of the scored targets: equal hashes mean the same clusters, in the same order, holding the same text.
    kind: what the values mean. unit: what is counted, "token" or "byte".
    """

    total_NC: Float[np.ndarray, "N C"]
    count_NC: Real[np.ndarray, "N C"]
    categories: tuple[tuple[str, str], ...]
    data: str
    kind: ScoreKind = ScoreKind.EXACT
    unit: str = "token"

    def __post_init__(self):
        require(
            len(self.categories) == self.total_NC.shape[1],
            f"sums need one (family, label) per column; {len(self.categories)} name {self.total_NC.shape[1]} columns.",
        )
        is_lost_NC = ~np.isfinite(self.total_NC) | ~(self.count_NC >= 0)
        if self.unit == "token":  # a token may have no bytes of its own, such as the end of a document
            is_lost_NC |= (self.count_NC == 0) & (self.total_NC != 0)
        lost = [self.categories[c] for c in np.flatnonzero(is_lost_NC.any(0))]
        require(
            not lost,
            f"sums of {lost[:3]} hold a value that is not finite, or a value without a token; leave tokens that were "
            "not scored out of both total and count.",
        )


def cluster_sums(
    value_T: Real[np.ndarray, "T"],
    cluster_T: Int[np.ndarray, "T"],
    label_MT: Int[np.ndarray, "M T"],
    *,
    clusters: int,
    categories: int,
) -> Float[np.ndarray, "N C"]:
    """Adds values up by cluster and flat label (family offset + label); a negative label counts nowhere.

    Sums of consecutive pieces of the text add up to those of the whole. Ones as values give counts.
    """
    for name, number, count in (("cluster", cluster_T, clusters), ("label", label_MT, categories)):
        require(
            not number.size or bool(number.max() < count and (name == "label" or number.min() >= 0)),
            f"{name} numbers must lie below {count}, but they run from {number.min()} to {number.max()}.",
        )
    total_NC = np.zeros((clusters, categories))
    place_T, value_T = cluster_T.astype(np.int64) * categories, value_T.astype(np.float64)
    for label_T in label_MT:
        is_in_T = label_T >= 0
        if is_in_T.all():
            np.add.at(total_NC.reshape(-1), place_T + label_T, value_T)
        else:
            np.add.at(total_NC.reshape(-1), (place_T + label_T)[is_in_T], value_T[is_in_T])
    return total_NC


def joint_cluster_sums(
    value_TK: Real[np.ndarray, "T K"],
    cluster_T: Int[np.ndarray, "T"],
    label_MT: Int[np.ndarray, "M T"],
    *,
    clusters: int,
    categories: int,
) -> Float[np.ndarray, "N C K"]:
    """`cluster_sums` of K values at once, each token counting once in every family: one sparse product."""
    families, tokens = label_MT.shape
    cell_TM = cluster_T.astype(np.int64)[:, None] * categories + label_MT.T
    where = (np.ones(cell_TM.size), cell_TM.ravel(), np.arange(tokens + 1) * families)
    counts_in = sparse.csr_matrix(where, shape=(tokens, clusters * categories))
    return (counts_in.T @ value_TK).reshape(clusters, categories, -1)


def difference(baseline: Sums, model: Sums) -> Sums:
    """The paired gap baseline − model, in nats per unit: positive where the model predicts better."""
    require(
        baseline.data == model.data,
        f"a paired comparison needs two readings of the same text, but the baseline's is {baseline.data} and the "
        f"model's is {model.data}; score both on the same rows.",
    )
    for name in ("kind", "unit", "categories"):
        theirs, ours = getattr(baseline, name), getattr(model, name)
        require(
            theirs == ours,
            f"a paired comparison needs one {name}, but the baseline has {theirs!r} and the model {ours!r}; "
            + ("values of different kinds answer different questions." if name == "kind" else "score both alike."),
        )
    unequal = np.flatnonzero((baseline.count_NC != model.count_NC).any(0))
    require(
        not unequal.size,
        f"the readings count different {model.unit}s of {[baseline.categories[c] for c in unequal[:3]]}, though of the "
        "same text; across tokenizers count bytes, and score every target in both.",
    )
    return dataclasses.replace(model, total_NC=baseline.total_NC - model.total_NC)
