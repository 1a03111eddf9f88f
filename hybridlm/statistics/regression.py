"""What is left of a category's gap once frequency, copying, position and difficulty are held fixed.

Ordinary least squares of a per-token value, with cluster-robust errors (CR1: tokens of a cluster may correlate freely;
factor G/(G−1) · (n−1)/(n−P), Student's t of G−1). Difficulty should come from a third model or a unigram: the loss of
either of the compared models carries the noise of the gap itself.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from jaxtyping import Float
from scipy import linalg, stats

from hybridlm.config.errors import require
from hybridlm.statistics.design import Formula, Regressor, Tokens, normal_equations, scores
from hybridlm.statistics.intervals import Intervals, note, t_quantile

_ALIASED = 1e-9
"""A regressor of which less than this part is its own is a combination of the earlier ones."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Regression:
    """Attributes:
    regressors: of each coefficient; all others are in `references`, `unseen` or `aliased`.
    coefficient_P: change of the response per unit of a number, or against the reference label of a factor.
    error_P, low_P, high_P, p_P: cluster-robust standard error, interval and two-sided p; NaN for one cluster.
    covariance_PP, mean_P: of the coefficients, and of the regressors over tokens.
    references: factor -> its most frequent label.
    unseen, aliased: regressors without tokens, and those that the earlier ones determine.
    """

    regressors: tuple[Regressor, ...]
    coefficient_P: Float[np.ndarray, "P"]
    error_P: Float[np.ndarray, "P"]
    low_P: Float[np.ndarray, "P"]
    high_P: Float[np.ndarray, "P"]
    p_P: Float[np.ndarray, "P"]
    covariance_PP: Float[np.ndarray, "P P"]
    mean_P: Float[np.ndarray, "P"]
    references: Mapping[str, str]
    unseen: tuple[Regressor, ...]
    aliased: tuple[Regressor, ...]
    tokens: int
    clusters: int
    r_squared: float

    @property
    def note(self) -> str:
        """What a table has to say of the errors; empty where nothing."""
        return note(self.clusters)


def fit(pieces: Callable[[], Iterable[Tokens]], formula: Formula, *, clusters: int, level: float = 0.95) -> Regression:
    """Fits the formula to tokens that come in pieces; `pieces` is called twice, for the fit and for its errors."""
    sums, everything = normal_equations(pieces(), formula), formula.regressors
    count_P, tokens = sums.gram_PP[0], int(sums.gram_PP[0, 0])
    references = _references(formula, count_P)
    is_seen_P = sums.gram_PP.diagonal() > 0
    candidates = [n for n in np.flatnonzero(is_seen_P) if references.get(everything[n][0]) != everything[n][1]]
    kept = _independent(sums.gram_PP, candidates)
    require(tokens > len(kept), f"a regression on {len(kept)} regressors needs more tokens than the {tokens} it has.")
    inverse_PP = _inverse(sums.gram_PP[np.ix_(kept, kept)])
    coefficient_P = np.zeros(len(everything))
    coefficient_P[kept] = inverse_PP @ sums.moment_P[kept]
    score_NP, residual = scores(pieces(), formula, coefficient_P, clusters=clusters)
    covariance_PP = _sandwich(inverse_PP, score_NP[:, kept], tokens)
    variation = sums.square - sums.moment_P[0] ** 2 / tokens
    return Regression(
        regressors=tuple(everything[n] for n in kept),
        coefficient_P=coefficient_P[kept],
        **_inference(coefficient_P[kept], np.sqrt(covariance_PP.diagonal()), len(score_NP), level),
        covariance_PP=covariance_PP,
        mean_P=count_P[kept] / tokens,
        references=references,
        unseen=tuple(everything[n] for n in np.flatnonzero(~is_seen_P)),
        aliased=tuple(everything[n] for n in candidates if n not in kept),
        tokens=tokens,
        clusters=len(score_NP),
        r_squared=1 - residual / variation if variation > 0 else 0.0,
    )


def adjusted(found: Regression, factor: str, *, level: float = 0.95) -> tuple[tuple[str, ...], Intervals]:
    """Labels of a factor, and the response each would have if its tokens were average in everything else."""
    require(
        factor in found.references,
        f"{factor!r} is no factor of this regression; its factors are {', '.join(found.references)}.",
    )
    lost = [label for name, label in found.aliased if name == factor]
    require(
        not lost,
        f"the labels {lost} of {factor!r} cannot be told from the other regressors; leave one of the two out.",
    )
    is_factor_P = np.array([name == factor for name, _ in found.regressors])
    labels = (found.references[factor], *(label for name, label in found.regressors if name == factor))
    contrast_CP = np.tile(np.where(is_factor_P, 0, found.mean_P), (len(labels), 1))
    contrast_CP[1:, is_factor_P] = np.eye(len(labels) - 1)
    estimate_C = contrast_CP @ found.coefficient_P
    error_C = np.sqrt(((contrast_CP @ found.covariance_PP) * contrast_CP).sum(1))
    clusters_C = np.full(len(labels), found.clusters)
    reach_C = t_quantile((1 + level) / 2, clusters_C) * error_C
    return labels, Intervals(estimate_C, estimate_C - reach_C, estimate_C + reach_C, clusters_C)


def _references(formula, count_P):
    """The most frequent label of every factor."""
    counts = dict(zip(formula.regressors, count_P))
    return {name: max(labels, key=lambda label: counts[name, label]) for name, labels in formula.factors.items()}


def _independent(gram_PP, candidates):
    """Those candidates that are no linear combination of earlier ones."""
    kept = []
    for n in candidates:
        cross_K = gram_PP[kept, n]
        shared = cross_K @ _inverse(gram_PP[np.ix_(kept, kept)]) @ cross_K if kept else 0
        if gram_PP[n, n] - shared > _ALIASED * gram_PP[n, n]:
            kept.append(n)
    return kept


def _inverse(gram_PP):
    """The inverse, made on a common scale."""
    scale_P = np.sqrt(gram_PP.diagonal())
    return linalg.inv(gram_PP / np.outer(scale_P, scale_P)) / np.outer(scale_P, scale_P)


def _sandwich(inverse_PP, score_NP, tokens):
    """CR1; NaN for one cluster."""
    clusters, regressors = score_NP.shape
    if clusters < 2:
        return np.full_like(inverse_PP, np.nan)
    small = clusters / (clusters - 1) * (tokens - 1) / (tokens - regressors)
    pulls_NP = score_NP @ inverse_PP
    return small * pulls_NP.T @ pulls_NP


def _inference(coefficient_P, error_P, clusters, level):
    reach_P = t_quantile((1 + level) / 2, np.array([clusters])) * error_P
    t_P = np.divide(np.abs(coefficient_P), error_P, out=np.full(error_P.shape, np.inf), where=error_P != 0)
    p_P = 2 * stats.t.sf(t_P, max(clusters - 1, 1))
    return {"error_P": error_P, "low_P": coefficient_P - reach_P, "high_P": coefficient_P + reach_P, "p_P": p_P}
