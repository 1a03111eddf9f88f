"""The table of a comparison: every category's gap with all that is to be known of it, one row per model and label."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from hybridlm.config.errors import ConfigError, require
from hybridlm.reports.comparing.sums import part
from hybridlm.reports.comparison import Row
from hybridlm.reports.scores import ALL
from hybridlm.statistics import placebo
from hybridlm.statistics.equivalence import Judged, equivalence
from hybridlm.statistics.intervals import Intervals
from hybridlm.statistics.linearised import ratio
from hybridlm.statistics.multiplicity import benjamini_hochberg
from hybridlm.statistics.power import detectable
from hybridlm.statistics.regression import Regression, adjusted
from hybridlm.statistics.shares import shares
from hybridlm.statistics.sums import Sums, difference


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What a comparison is made with; `pairs` of placebos are (worse or first, better or second) names.

    Attributes:
      margin: gaps smaller than this, in nats per unit, do not matter; to be declared before they are seen.
      families: those to show, all if empty. filter: which tokens count. adjust: families of the regression.
      seeds: pairs that differ in seed alone, in any order. placebo: pairs whose second is trained more, or larger.
    """

    margin: float = 0.01
    families: tuple[str, ...] = ()
    filter: str = "all"
    adjust: tuple[str, ...] = ()
    seeds: tuple[tuple[str, str], ...] = ()
    placebo: tuple[tuple[str, str], ...] = ()
    seed: int = 0
    draws: int = 2000
    permutations: int = 9999
    level: float = 0.95
    power: float = 0.8

    def __post_init__(self):
        require(
            self.margin > 0,
            f"--margin={self.margin} must be a positive number of nats: the largest gap that would not matter.",
        )


Columns = Mapping[str, Sequence | np.ndarray]
"""Name of a number of `Row` -> its value for every category."""


@dataclasses.dataclass(frozen=True)
class Envelopes:
    """Placebo envelopes of one model's gaps, on their scale, and what a reader has to know of them."""

    columns: Columns
    notes: tuple[str, ...]


def rows(
    sums: Mapping[str, Sums],
    baseline: str,
    models: Sequence[str],
    settings: Settings,
    regressions: Mapping[str, Regression],
) -> tuple[list[Row], list[str]]:
    """All rows, and notes on what could not be made; `sums` hold the readings of placebo pairs too."""
    gaps = {name: difference(sums[baseline], sums[name]) for name in models}
    judged = equivalence(
        gaps, settings.margin, seed=settings.seed, permutations=settings.permutations, level=settings.level
    )
    found, notes = [], []
    for name, gap in gaps.items():
        around = envelopes(name, gap, judged[name].gap, sums, settings)
        held, lost = adjustments(gap, regressions.get(name))
        notes += [*around.notes, *lost]
        means = {"baseline": _mean(sums[baseline]), "mean": _mean(sums[name])}
        found += _rows(name, gap, {**means, **_columns(gap, judged[name], settings), **around.columns, **held})
    return found, list(dict.fromkeys(notes))


def _rows(model: str, gap: Sums, columns: Columns) -> list[Row]:
    """A row of every category that has tokens."""
    return [
        Row(model=model, family=family, label=label, **{name: plain(column[c]) for name, column in columns.items()})
        for c, (family, label) in enumerate(gap.categories)
        if columns["count"][c]
    ]


def _columns(gap: Sums, judged: Judged, settings: Settings) -> Columns:
    """What the gaps themselves say."""
    carried = shares(gap, seed=settings.seed, draws=settings.draws, level=settings.level)
    return {
        "count": gap.count_NC.sum(0).astype(np.int64),
        "clusters": judged.gap.clusters_C,
        "note": judged.gap.notes,
        "gap": judged.gap.estimate_C,
        "low": judged.gap.low_C,
        "high": judged.gap.high_C,
        "error": judged.error_C,
        "p": judged.p_C,
        "is_p_least": judged.is_least_C,
        "fdr": benjamini_hochberg(judged.p_C),
        "band_low": judged.band.low_C,
        "band_high": judged.band.high_C,
        "p_all": judged.p_all_C,
        "verdict": [verdict.value for verdict in judged.verdicts],
        "why": [why.value for why in judged.whys],
        "detectable": detectable(judged.band, judged.error_C, power=settings.power),
        "share": carried.part.estimate_C,
        "share_low": carried.part.low_C,
        "share_high": carried.part.high_C,
        "is_share_settled": carried.is_settled_C,
    }


def _mean(sums: Sums) -> np.ndarray:
    return ratio(sums.total_NC.sum(0), sums.count_NC.sum(0))


def plain(value):
    """A number as Python has it; None where there is none."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


def envelopes(model: str, gap: Sums, claim: Intervals, sums: Mapping[str, Sums], settings: Settings) -> Envelopes:
    """Where the gaps of placebo pairs would lie, for pairs of seeds and for directed ones."""
    columns, notes = {}, []
    options = {"seed": settings.seed, "draws": settings.draws, "level": settings.level}
    if settings.seeds:
        pairs = [difference(sums[a], sums[b]) for a, b in settings.seeds]
        gap_PC = np.stack([ratio(pair.total_NC.sum(0), pair.count_NC.sum(0)) for pair in pairs])
        around = placebo.envelope(gap_PC, is_directed=False, level=settings.level)
        columns |= _placed("seeds", around, placebo.place(claim, around), 1.0)
        notes += [f"seeds: {around.note}"] if around.note else []
    if settings.placebo:
        try:
            shape = placebo.profile(gap, part(gap, ALL), **options)
        except ConfigError as error:
            return Envelopes(columns, (*notes, f"no placebo envelope for {model}: {error}"))
        pairs = [difference(sums[a], sums[b]) for a, b in settings.placebo]
        gap_PC = np.stack([placebo.profile(pair, part(pair, ALL), **options).estimate_C for pair in pairs])
        around = placebo.envelope(gap_PC, is_directed=True, level=settings.level)
        columns |= _placed("placebo", around, placebo.place(shape, around), float(claim.estimate_C[0]))
        notes += [f"placebo: {around.note}"] if around.note else []
    return Envelopes(columns, tuple(notes))


def _placed(name: str, around: placebo.Envelope, placed: placebo.Placed, scale: float) -> Columns:
    """Columns of rows; an envelope of profiles is scaled to the gap of all tokens, which may be negative."""
    ends_2C = np.sort(np.stack([around.low_C, around.high_C]) * scale, axis=0)
    # one directed pair says nothing of how such pairs spread, and the profile of all tokens is 1 for any pair
    is_known_C = np.isfinite(ends_2C).all(0) & (ends_2C[0] < ends_2C[1])
    low_C, high_C = np.where(is_known_C, ends_2C, np.nan)
    places = [place.value if is_known else "" for place, is_known in zip(placed.places, is_known_C)]
    return {f"{name}_low": low_C, f"{name}_high": high_C, f"{name}_place": places}


def adjustments(gap: Sums, found: Regression | None) -> tuple[Columns, list[str]]:
    """The gaps of labels when all else in the regression is average, and which families have none and why."""
    held = {name: np.full(len(gap.categories), np.nan) for name in ("adjusted", "adjusted_low", "adjusted_high")}
    notes = []
    shown = dict(gap.categories)
    for family in found.references if found else ():
        if family not in shown:
            continue
        try:
            labels, ends = adjusted(found, family)
        except ConfigError as error:
            notes.append(f"no adjusted gaps of {family}: {error}")
            continue
        places = [gap.categories.index((family, label)) for label in labels]
        for name, values in zip(held, (ends.estimate_C, ends.low_C, ends.high_C)):
            held[name][places] = values
    return held, notes
