"""The table of a comparison: every category's gap with all that is to be known of it, one row per model and label."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from hybridlm.config.errors import ConfigError, require
from hybridlm.reports.comparing.sums import part
from hybridlm.reports.comparison import Row
from hybridlm.reports.scores import ALL
from hybridlm.statistics import paired, placebo
from hybridlm.statistics.equivalence import Equivalence, equivalence
from hybridlm.statistics.intervals import Intervals
from hybridlm.statistics.linearised import ratio
from hybridlm.statistics.regression import Regression, adjusted
from hybridlm.statistics.sums import Sums, difference


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What a comparison is made with; `pairs` of placebos are (worse or first, better or second) names.

    Attributes:
      margin: gaps smaller than this, in nats per unit, do not matter; declared before they are seen.
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
    judged = equivalence(gaps, settings.margin, seed=settings.seed, draws=settings.draws, level=settings.level)
    found, notes = [], []
    for name, gap in gaps.items():
        compared = paired.compare(
            gap,
            seed=settings.seed,
            draws=settings.draws,
            permutations=settings.permutations,
            level=settings.level,
            power=settings.power,
        )
        around = envelopes(name, gap, compared.gap, sums, settings)
        held, lost = adjustments(gap, regressions.get(name))
        notes += [*around.notes, *lost]
        found += _rows(name, sums[baseline], sums[name], compared, judged[name], {**around.columns, **held})
    return found, list(dict.fromkeys(notes))


def _rows(
    model: str,
    base: Sums,
    other: Sums,
    compared: paired.Comparison,
    judged: Equivalence,
    more: Columns,
) -> list[Row]:
    gap, share, band = compared.gap, compared.share, judged.band
    columns = {
        "count": compared.count_C.astype(np.int64),
        "clusters": gap.clusters_C,
        "note": gap.notes,
        "baseline": ratio(base.total_NC.sum(0), base.count_NC.sum(0)),
        "mean": ratio(other.total_NC.sum(0), other.count_NC.sum(0)),
        "gap": gap.estimate_C,
        "low": gap.low_C,
        "high": gap.high_C,
        "error": compared.error_C,
        "p": compared.p_C,
        "holm": compared.holm_C,
        "fdr": compared.fdr_C,
        "detectable": compared.detectable_C,
        "share": share.estimate_C,
        "share_low": share.low_C,
        "share_high": share.high_C,
        "is_share_settled": compared.is_share_settled_C,
        "band_low": band.low_C,
        "band_high": band.high_C,
        "verdict": [verdict.value for verdict in judged.verdicts],
        **more,
    }
    places = enumerate(compared.categories)
    return [
        Row(model=model, family=family, label=label, **{name: plain(column[c]) for name, column in columns.items()})
        for c, (family, label) in places
        if compared.count_C[c]
    ]


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
