"""What a comparison shows besides gaps by category, where files have the columns: calibration, recall, frequency."""

from typing import Any

import numpy as np

from hybridlm.categories import copies
from hybridlm.reports.comparing.aligned import Aligned, Source
from hybridlm.reports.comparing.rows import Settings, plain
from hybridlm.reports.comparing.sums import Advance, part, slices
from hybridlm.reports.scores import ALL
from hybridlm.reports.token_file import Family
from hybridlm.statistics import calibration as calibrations
from hybridlm.statistics.intervals import Intervals, linearised
from hybridlm.statistics.recall import distance_cliff, recall_efficiency
from hybridlm.statistics.sums import Sums, cluster_sums, difference

SURPRISE = 2.0
"""Nats that a first occurrence must have cost, on average over the readings, for its repetition to be recalled."""

_BINS = 10


def calibration(text: Aligned, settings: Settings, advance: Advance) -> list[dict[str, Any]]:
    """Reliability of every reading that has confidences, over all its rows and by families known beforehand."""
    return [record for source in text.sources for record in _calibration(text, source, settings, advance)]


def _calibration(text: Aligned, source: Source, settings: Settings, advance: Advance) -> list[dict[str, Any]]:
    confidence_T, is_correct_T = source.values("confidence"), source.values("correct")
    if confidence_T is None or is_correct_T is None:
        return []
    row_T = text.rows.get(source.name, np.arange(len(source.tokens)))
    row_T = row_T[np.isfinite(confidence_T[row_T])]
    families, label_MT = _known_before(source, row_T)
    confidence_T, is_correct_T = confidence_T[row_T], is_correct_T[row_T].astype(bool)
    cluster_T = source.tokens.group_D[source.tokens.document_T[row_T]]
    categories = [(ALL, ALL), *((name, label) for name, family in families.items() for label in family.labels)]
    fine_CF = sum(
        calibrations.fine_counts(confidence_T[cut], label_MT[:, cut], len(categories))
        for cut in slices(len(row_T), advance)
    )
    bin_CF, clusters = calibrations.equal_mass(fine_CF), len(source.tokens.groups)
    parts = (
        calibrations.binned(
            confidence_T[cut], is_correct_T[cut], cluster_T[cut], label_MT[:, cut], bin_CF, clusters=clusters
        )
        for cut in slices(len(row_T), advance)
    )
    total = next(parts)
    for more in parts:
        total = total + more
    found = calibrations.calibration(total, seed=settings.seed, level=settings.level)
    return [_reliability(source.name, category, found, c) for c, category in enumerate(categories) if fine_CF[c].any()]


def _known_before(source: Source, row_T: np.ndarray) -> tuple[dict[str, Family], np.ndarray]:
    """Families that do not tell the outcome: known from the context, or labels of what the reading held likeliest."""
    labels, header = source.tokens.labels, source.tokens.header
    found, flat, first = {}, [np.zeros(len(row_T), np.int32)], 1
    for name, family in header.families.items():
        column = f"label/{name}" if family.is_known_before else f"likeliest/{source.reading}/{name}"
        if column in labels:
            code_T = labels[column][row_T].astype(np.int32)
            found[name] = family
            flat.append(np.where(code_T < 0, -1, code_T + first))
            first += len(family.labels)
    return found, np.stack(flat)


def _reliability(reading: str, category: tuple[str, str], found: calibrations.Calibration, c: int) -> dict[str, Any]:
    names = {
        "count": "count_CB",
        "confidence": "confidence_CB",
        "accuracy": "accuracy_CB",
        "error": "accuracy_error_CB",
    }
    has_C = found.count_CB[c] > 0
    return {
        "reading": reading,
        "family": category[0],
        "label": category[1],
        "ece": plain(found.plain_C[c]),
        "error": plain(found.error.estimate_C[c]),
        "low": plain(found.error.low_C[c]),
        "high": plain(found.error.high_C[c]),
        "floor": plain(found.floor_C[c]),
        "p": plain(found.p_C[c]),
        "bins": {name: [plain(value) for value in getattr(found, array)[c][has_C]] for name, array in names.items()},
    }


def recall(text: Aligned, settings: Settings) -> list[dict[str, Any]]:
    """What repetition of five tokens saves each reading, over repeats whose first occurrence was a surprise."""
    tokens = text.baseline.tokens
    if "token" not in tokens.columns or text.unit != "token":
        return []
    repeat_T, first_T = _pairs(text)
    mean_T = sum(text.cost.values()) / len(text.cost)
    is_surprise = mean_T[first_T] > SURPRISE
    repeat_T, first_T, names = repeat_T[is_surprise], first_T[is_surprise], list(text.cost)
    if not len(repeat_T):
        return []
    cluster_T, shape = text.cluster_T[repeat_T], (len(tokens.groups), 1)
    place = (cluster_T, np.zeros((1, len(repeat_T)), np.int32))
    add = [
        np.hstack([cluster_sums(text.cost[name][at], *place, clusters=shape[0], categories=1) for name in names])
        for at in (repeat_T, first_T)
    ]
    found = recall_efficiency(*add, seed=settings.seed, draws=settings.draws, level=settings.level)
    return [
        {"reading": name, "repeats": len(repeat_T), **_ends(found, n), "clusters": int(found.clusters_C[n])}
        for n, name in enumerate(names)
    ]


def _pairs(text: Aligned) -> tuple[np.ndarray, np.ndarray]:
    """(repeats, first occurrences) as rows that were both compared."""
    tokens = text.baseline.tokens
    row_of = np.full(len(tokens), -1)
    row_of[text.row_T] = np.arange(len(text.row_T))
    begins = np.flatnonzero(np.append(True, np.diff(tokens.document_T) != 0))
    found = [np.zeros((2, 0), np.int64)]
    for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), len(tokens)]):
        found.append(begin + np.stack(copies.recall_pairs(tokens.columns["token"][begin:end])))
    both = row_of[np.concatenate(found, axis=1)]
    repeat_T, first_T = both[:, (both >= 0).all(0)]
    return repeat_T, first_T


def _ends(found: Intervals, n: int) -> dict[str, Any]:
    names = {"value": found.estimate_C, "low": found.low_C, "high": found.high_C}
    return {name: plain(array[n]) for name, array in names.items()}


def distance(text: Aligned, sums: dict[str, Sums], settings: Settings) -> list[dict[str, Any]]:
    """How far copies from afar cost more than copies from near, by reading, and how the gap changes with distance."""
    if "copy_distance" not in text.families:
        return []
    base, *models = (source.name for source in text.sources)
    curves = {name: sums[name] for name in (base, *models)}
    curves |= {f"gap of {name}": difference(sums[base], sums[name]) for name in models}
    found = []
    for name, whole in curves.items():
        near = part(whole, "copy_distance", first=1)  # label 0 copies nothing
        ends = distance_cliff(near, seed=settings.seed, draws=settings.draws, level=settings.level)
        labels = [label for _, label in near.categories]
        found += [
            {"reading": name, "distance": label, **_ends(ends, n), "clusters": int(ends.clusters_C[n])}
            for n, label in enumerate(labels)
            if near.count_NC[:, n].any()
        ]
    return found


def frequency(text: Aligned, settings: Settings, advance: Advance) -> list[dict[str, Any]]:
    """The gap by the token's frequency rank, in bins that each hold about as many of the text's tokens."""
    rank_T = _ranks(text)
    if rank_T is None:
        return []
    edges = np.unique(np.quantile(rank_T, np.linspace(0, 1, _BINS + 1), method="lower"))
    bin_T = np.clip(np.searchsorted(edges, rank_T, side="right") - 1, 0, max(len(edges) - 2, 0))
    bins, clusters = max(len(edges) - 1, 1), len(text.baseline.tokens.groups)
    count_NC, rank_NC = np.zeros((2, clusters, bins))
    base, *models = (source.name for source in text.sources)
    total = {name: np.zeros((clusters, bins)) for name in models}
    for cut in slices(len(rank_T), advance):
        place = {
            "cluster_T": text.cluster_T[cut],
            "label_MT": bin_T[None, cut],
            "clusters": clusters,
            "categories": bins,
        }
        count_NC += cluster_sums(text.count_T[cut], **place)
        rank_NC += cluster_sums(np.log(rank_T[cut]) * text.count_T[cut], **place)
        for name in models:
            total[name] += cluster_sums(text.cost[base][cut].astype(np.float64) - text.cost[name][cut], **place)
    count_C = count_NC.sum(0)
    found = []
    for name in models:
        ends = linearised(total[name], count_NC, level=settings.level)
        found += [
            {
                "model": name,
                "rank": plain(np.exp(rank_NC[:, b].sum() / count_C[b])),
                "first": int(edges[b]),
                "last": int(edges[b + 1]) - (b < bins - 1) if len(edges) > 1 else int(edges[b]),
                "count": int(count_C[b]),
                **_ends(ends, b),
            }
            for b in range(bins)
            if count_C[b]
        ]
    return found


def _ranks(text: Aligned) -> np.ndarray | None:
    """The rank of each row's token: in the training text if the file knows it, else by the scored text itself."""
    columns = text.baseline.tokens.columns
    if "frequency_rank" in columns:
        return np.maximum(columns["frequency_rank"][text.row_T], 1)
    if "token" not in columns:
        return None
    id_T = np.maximum(columns["token"][text.row_T], 0)
    counts_V = np.bincount(id_T)
    rank_V = np.empty(len(counts_V), np.int64)
    rank_V[np.argsort(-counts_V, stable=True)] = np.arange(1, len(counts_V) + 1)
    return rank_V[id_T]
