"""From the totals of a column to its rows in a score record: means, intervals by group, and the error of sampling."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from hybridlm.config.evaluation import EvaluationConfig
from hybridlm.evaluation import columns as readings
from hybridlm.evaluation.totals import Totals
from hybridlm.evaluation.values import SUMMED
from hybridlm.reports.scores import Column, Row
from hybridlm.statistics.class_mass import class_mass
from hybridlm.statistics.intervals import linearised, means, of_shares

SHARES = {"confidence", "accuracy", "top_5", "reciprocal_rank", "share"}
"""What lies between 0 and 1 for every token."""


def column(facts: readings.Column, totals: Totals, note: str = "") -> Column:
    """What the record says of a column as a whole."""
    nats = totals.nats_NC[:, 0].sum()
    return Column(
        name=facts.part.name,
        kind=facts.part.kind.label,
        sees=facts.part.sees,
        targets=facts.targets,
        samples=max(facts.samples, 1),
        bits_per_byte=float(nats / math.log(2) / totals.bytes) if totals.bytes else None,
        is_baseline=facts.reading == readings.UNIGRAM,
        note=note,
        unscored={reason: count for reason, count in totals.unscored.items() if count},
    )


def rows(
    config: EvaluationConfig, labels: Sequence[tuple[str, str]], column: readings.Column, totals: Totals
) -> Iterator[Row]:
    """A row for every label that any counted token has."""
    tokens_C = totals.tokens_NC.sum(0)
    error_C = _sampling_error(totals, tokens_C) if column.samples else np.zeros(len(labels))
    is_here_N = totals.tokens_NC[:, 0] > 0
    tokens_NC = totals.tokens_NC[is_here_N]
    how = {"seed": config.seed, "draws": config.draws}
    found = means(totals.nats_NC[is_here_N], tokens_NC, **how, monte_carlo_error_C=error_C)
    details = {
        name: (of_shares if name in SHARES else linearised)(total_NC[is_here_N], tokens_NC)
        for name, total_NC in _details(column, totals).items()
    }
    mass_NC, mass_C = totals.mass_NC[is_here_N], np.full(len(labels), np.nan)
    if np.isfinite(mass_NC).any():
        mass = class_mass(mass_NC, tokens_NC, tokens_NC[:, 0], **how)
        mass_C, details["mass_excess"] = mass.expected_C, mass.excess
    for c, (family, label) in enumerate(labels):
        if tokens_C[c]:
            groups = int(found.clusters_C[c])
            told = {name: ends for name, ends in details.items() if math.isfinite(ends.estimate_C[c])}
            yield Row(
                family=family,
                label=label,
                column=column.part.name,
                mean=float(found.estimate_C[c]),
                low=_number(found.low_C[c], groups),
                high=_number(found.high_C[c], groups),
                standard_error_mc=float(error_C[c]) if column.samples else None,
                tokens=int(tokens_C[c]),
                groups=groups,
                mass=float(mass_C[c]) if math.isfinite(mass_C[c]) else None,
                intervals={name: (float(e.low_C[c]), float(e.high_C[c])) for name, e in told.items() if groups > 1},
                **{name: float(ends.estimate_C[c]) for name, ends in told.items()},
            )


def _details(column: readings.Column, totals: Totals) -> dict[str, np.ndarray]:
    """Sums by group and label of what else a detailed column says; NaN where a label has no gate."""
    if not len(totals.details_KNC):
        return {}
    found = dict(zip(SUMMED, totals.details_KNC, strict=True)) | {"gate": totals.gate_NC}
    return found if column.is_combined else {name: total for name, total in found.items() if name != "share"}


def _number(end: float, groups: int) -> float | None:
    """The end of an interval; a single group says nothing of how groups differ."""
    return float(end) if math.isfinite(end) and groups > 1 else None


def _sampling_error(totals: Totals, tokens_C: np.ndarray) -> np.ndarray:
    """Standard error of the mean over Monte-Carlo samples, per label, in nats per token."""
    means_KC = totals.samples_KC / np.maximum(tokens_C, 1)
    return means_KC.std(0, ddof=1) / math.sqrt(len(means_KC))
