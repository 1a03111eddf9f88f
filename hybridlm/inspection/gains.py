"""What compared models would gain on the text that is looked at: its classes, cluster by cluster, times their gaps."""

import dataclasses
from collections.abc import Iterator, Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Real

from hybridlm.categories.tables import Tables, by_family, flat_labels
from hybridlm.data.prepared import Prepared
from hybridlm.data.progress import Progress
from hybridlm.data.rows import Columns
from hybridlm.inspection.text_counts import blocks, is_predicted, within
from hybridlm.reports.comparison import Comparison
from hybridlm.reports.inspection import ALL
from hybridlm.reports.inspection_gains import Gain, Gains, Share, bits_per_byte
from hybridlm.statistics import transfer
from hybridlm.statistics.transfer import Measured

LEVEL = 0.95
CLUSTERS = 4096
"""Where there are more split groups, several make one cluster, which changes no expectation."""

_HASH = 16
"""Characters by which tokenizers are told apart in files."""


def gains(comparison: Comparison, prepared: Prepared, tables: Tables, progress: Progress) -> Gains:
    """The gain of every model by every family that was measured and that the rows have; reads every row once more."""
    known = {ALL: (ALL,)} | {family.name: family.labels for family in tables.families}
    order = {name: _order(gap, known[name]) for name, gap in comparison.measured.items() if name in known}
    counts, per_token = count(prepared, tables, order, comparison.unit, progress)
    missing = {name: "the rows have no labels of it" for name in comparison.measured if name not in known}
    found = []
    for model in comparison.models:
        for name, labels in order.items():
            gap = padded(comparison.gaps[model.name][name], labels)
            if (counts[name].any(0) & (gap.clusters_C > 1)).any():
                found.append(_gain(model.name, gap, counts[name], per_token))
            else:
                missing[name] = "no class of this text was measured on two clusters or more"
    measured_on = f"{comparison.tokens:,} tokens in {comparison.clusters:,} clusters"
    facts = {"measured on": measured_on, "unit": comparison.unit}
    return Gains(comparison.baseline.name, LEVEL, facts, tuple(found), missing, tuple(_notes(comparison, prepared)))


def _order(gap: Measured, labels: tuple[str, ...]) -> tuple[str, ...]:
    """The labels as the comparison has them, then those that only the text has."""
    return (*gap.labels, *(label for label in labels if label not in gap.labels))


def padded(gap: Measured, labels: tuple[str, ...]) -> Measured:
    """The gaps of these labels, which begin with their own; the others were never measured."""
    more = len(labels) - len(gap.labels)
    return dataclasses.replace(
        gap,
        labels=labels,
        gap_C=np.pad(gap.gap_C, (0, more), constant_values=np.nan),
        covariance_CC=np.pad(gap.covariance_CC, (0, more), constant_values=np.nan),
        clusters_C=np.pad(gap.clusters_C, (0, more)),
    )


def count(
    prepared: Prepared, tables: Tables, order: Mapping[str, tuple[str, ...]], unit: str, progress: Progress
) -> tuple[dict[str, Real[np.ndarray, "N C"]], float]:
    """Per family its tokens or bytes, as `unit` says, by cluster and label in this order; and the bytes per token."""
    counts = {name: np.zeros((CLUSTERS, len(labels)), np.int64) for name, labels in order.items()}
    tokens, size, bytes_V = 0, 0, prepared.tokenizer.byte_lengths
    for here, columns in _pieces(prepared, tables, progress):
        is_counted_BT = is_predicted(columns)
        cluster_N = columns["group"][is_counted_BT] % CLUSTERS
        bytes_N = bytes_V[columns["tokens"][is_counted_BT]]
        weight_N = bytes_N if unit == "byte" else np.ones_like(bytes_N)
        tokens, size = tokens + len(bytes_N), size + int(bytes_N.sum())
        for name, labels, label_BT in _labels(here, columns):
            if name in order:
                place_L = np.array([order[name].index(label) for label in labels])
                _add(counts[name], cluster_N, place_L[label_BT[is_counted_BT]], weight_N)
    return {name: count_NC[count_NC.any(1)] for name, count_NC in counts.items()}, size / max(1, tokens)


def _pieces(prepared: Prepared, tables: Tables, progress: Progress) -> Iterator[tuple[Tables, Columns]]:
    """All rows, a piece at a time, with the tables that label them."""
    for split in prepared.manifest.splits:
        rows = prepared.rows(split)
        with progress(f"clusters of {split}", len(rows) * rows.row_length) as advance:
            for columns in blocks(rows, 0, len(rows), advance):
                yield within(tables, rows), columns


def _labels(tables: Tables, columns: Columns) -> Iterator[tuple[str, tuple[str, ...], np.ndarray]]:
    """Name, labels and label indices of every family, those that training itself would sum by, and of all tokens."""
    yield ALL, (ALL,), np.zeros_like(columns["tokens"])
    arrays = {name: jnp.asarray(column) for name, column in columns.items()}
    found = by_family(tables, flat_labels(tables, arrays["tokens"], arrays))
    for family in tables.families:
        yield family.name, family.labels, np.asarray(found[family.name])


def _add(total_NC: np.ndarray, cluster_N: np.ndarray, label_N: np.ndarray, weight_N: np.ndarray) -> None:
    place_N = cluster_N.astype(np.int64) * total_NC.shape[1] + label_N
    counted = np.bincount(place_N, weight_N, minlength=total_NC.size)  # floats, exact far beyond any text
    total_NC += counted.astype(np.int64).reshape(total_NC.shape)


def _gain(model: str, gap: Measured, count_NC: Real[np.ndarray, "N C"], bytes_per_token: float) -> Gain:
    expected = transfer.expected_gain(gap, count_NC, level=LEVEL)
    nats = bytes_per_token if gap.unit == "byte" else 1.0
    ends = [nats * value for value in (expected.gain, expected.low, expected.high)]
    classes = zip(gap.labels, *(column.tolist() for column in (expected.share_C, gap.gap_C, expected.part_C)))
    return Gain(
        model,
        gap.family,
        *ends,
        bits_per_byte=tuple(bits_per_byte(end, bytes_per_token) for end in ends),
        error_of_gaps=nats * expected.error_of_gaps,
        error_of_text=nats * expected.error_of_text,
        covered=expected.covered,
        unmeasured=expected.unmeasured,
        classes=tuple(Share(label, share, nats * each, nats * part) for label, share, each, part in classes if share),
        notes=expected.notes,
    )


def _notes(comparison: Comparison, prepared: Prepared) -> Iterator[str]:
    """Why these gaps may not fit these rows at all."""
    theirs, ours = comparison.baseline.tokenizer, prepared.tokenizer.sha256
    if comparison.unit == "token" and theirs[:_HASH] != ours[:_HASH]:
        yield (
            f"the gaps are per token of another tokenizer ({theirs}) than that of these rows ({ours[:_HASH]}), whose "
            "tokens may be easier or harder: give the text with --model of a compared run, to have it read in theirs"
        )
