"""Holds a claim against token scores: the contrast, its interval, its placebos, and the verdict.

Contrasts are drawn again over split groups, all readings of a text together, two texts apart. The rule, fixed before
any run was read: a claim is contradicted where the interval leaves no room for an effect in its direction of more than
the margin; confirmed where the whole interval lies beyond the margin and beyond every placebo; undecided otherwise.
Placebos are the same contrast between seeds, and between plain autoregression and its own earlier checkpoint of the
hybrid's average.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from experiments.hybrids.claims import AR, NOTHING, SEEDS, SHARED, TRAINING, Claim
from hybridlm.categories import filters
from hybridlm.reports.comparing.sums import Named
from hybridlm.reports.tokens import Tokens

DRAWS = 2000
LEVEL = (2.5, 97.5)


@dataclasses.dataclass(frozen=True)
class Found:
    """Attributes: value, low, high: of the contrast, nats. placebos: name -> the same contrast. verdict: see above."""

    value: float
    low: float
    high: float
    tokens: int
    groups: int
    placebos: Mapping[str, float]
    verdict: str


def verdict(sign: int, low: float, high: float, placebos: Sequence[float], margin: float) -> str:
    """The rule."""
    low, high = sorted((sign * low, sign * high))
    if high < margin:
        return "contradicted"
    reach = max((margin, *(sign * placebo for placebo in placebos)))
    return "confirmed" if low > reach else "undecided"


class Judge:
    """Holds the token scores of all readings on one text.

    `score_R` maps `run@reading` to nats per token [T]; all runs must have scored the same tokens.
    """

    def __init__(self, tokens: Tokens, score_R: Mapping[str, np.ndarray], margin: float, seed: int = 0):
        self._tokens, self._score_R, self._margin = tokens, score_R, margin
        self._group_T = tokens.group_D[tokens.document_T]
        groups = len(tokens.groups)
        draws = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), DRAWS)
        self._drawn_RG = np.concatenate([np.ones((1, groups)), draws])

    @property
    def size(self) -> tuple[int, int]:
        """Tokens and groups."""
        return len(self._tokens), len(self._tokens.groups)

    def judge(self, claim: Claim) -> Found:
        """The contrast, its interval, its placebos and the verdict."""
        is_there_T = np.logical_and.reduce([np.isfinite(self._score_R[name]) for name in claim.readings])
        sets = [self._where(text) & is_there_T for text in (claim.where, claim.less) if text]
        contrast = self._contrast(claim.better, claim.than, sets)
        if claim.base:
            contrast = contrast - self._contrast(*claim.base, sets)
        value, (low, high) = contrast[0], np.percentile(contrast[1:], LEVEL)
        has_placebo = not claim.base and claim.than != NOTHING
        placebos = self._placebos(claim.than, sets) if has_placebo else {}
        return Found(
            value=float(value),
            low=float(low),
            high=float(high),
            tokens=int(sets[0].sum()),
            groups=len(np.unique(self._group_T[sets[0]])),
            placebos=placebos,
            verdict=verdict(claim.sign, low, high, list(placebos.values()), self._margin),
        )

    def gap(self, better: str, than: str) -> np.ndarray:
        """Mean gap over all tokens: of all groups, then of each draw."""
        return self._contrast(better, than, [np.isfinite(self._score_R[better]) & np.isfinite(self._score_R[than])])

    def _where(self, text: str) -> np.ndarray:
        named = [Named(name, family.labels, family.is_ordered) for name, family in self._tokens.header.families.items()]
        labels = {name.removeprefix("label/"): codes for name, codes in self._tokens.labels.items() if "label/" in name}
        return filters.parse(text, named).select(labels, named)

    def _contrast(self, better: str, than: str, sets: Sequence[np.ndarray]) -> np.ndarray:
        """Of all groups, then of each draw: the mean gap of the first set less that of the second, if any."""
        gap_T = np.nan_to_num(self._score_R[than] - self._score_R[better])
        groups = len(self._tokens.groups)

        def mean(is_in_T):
            total_G, count_G = (
                np.bincount(self._group_T[is_in_T], x_T[is_in_T], groups) for x_T in (gap_T, np.ones(len(gap_T)))
            )
            return (self._drawn_RG @ total_G) / np.maximum(self._drawn_RG @ count_G, 1)

        means = [mean(is_in_T) for is_in_T in sets]
        return means[0] - means[1] if len(means) > 1 else means[0]

    def _placebos(self, baseline: str, sets: Sequence[np.ndarray]) -> dict[str, float]:
        """The contrast between readings that differ in seed alone, either way round, and in training alone."""
        home = baseline if baseline in SEEDS else SHARED
        found = {}
        for other in SEEDS[home]:
            size = abs(float(self._contrast(other, home, sets)[0]))
            found |= {f"{other} +": size, f"{other} -": -size}
        if home in TRAINING:
            found[TRAINING[home]] = float(self._contrast(TRAINING[home], home, sets)[0])
        return found


def left_out(inside: Judge, outside: Judge, margin: float) -> Found:
    """What one shared network loses to autoregression in a domain left out, less what it loses where it was trained.

    The judges must differ in seed: equal draws would tie groups that have nothing in common.
    """
    pair = SHARED, AR
    inside_R, outside_R = inside.gap(*pair), outside.gap("shared/left_out@ar", "ar/left_out@ar")
    shift_R = outside_R - inside_R
    low, high = np.percentile(shift_R[1:], LEVEL)
    tokens, groups = outside.size
    found = verdict(-1, low, high, (), margin)
    return Found(float(shift_R[0]), float(low), float(high), tokens, groups, {}, found)


def table(found: Mapping[Claim, Found]) -> str:
    """Markdown: one line per claim."""
    head = "| article | claim | claimed | nats saved (95 %) | placebos reach | tokens (groups) | verdict |"

    def line(claim: Claim, one: Found) -> str:
        reach = max((claim.sign * value for value in one.placebos.values()), default=None)
        told = "none" if reach is None else f"{claim.sign * reach:+.3f}"
        return (
            f"| {claim.article} | {claim.says} | {claim.claimed or '-'} | {one.value:+.3f} ({one.low:+.3f} to "
            f"{one.high:+.3f}) | {told} | {one.tokens:,} ({one.groups:,}) | **{one.verdict}** |"
        )

    return "\n".join([head, "|" + "---|" * 7, *(line(claim, one) for claim, one in found.items())])
