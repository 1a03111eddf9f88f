"""How long the statistics of a paired report take: `python -m benchmarks.paired_report`.

Ten million tokens of ten thousand documents of unequal size, scored by three models and labelled in eight families, as
read from a table, go through every part of `hybridlm.statistics`; the last line is 64 categories of 10,000 clusters in
2000 draws. Random numbers: speed does not depend on the text. Times are single runs.
"""

import os
import time
from collections.abc import Iterator

import numpy as np

from hybridlm.statistics import calibration as calibrations
from hybridlm.statistics import design, equivalence, intervals, regression, shares, transfer
from hybridlm.statistics.sums import Sums, cluster_sums, difference

TOKENS, GROUPS, FAMILIES, LABELS = 10_000_000, 10_000, 8, 8
PIECE = 2**17
CATEGORIES = tuple((f"family {m}", f"label {c}") for m in range(FAMILIES) for c in range(LABELS))


class Clock:
    """Prints what each part took by the wall clock and of the processors, which others may be using too."""

    def __init__(self):
        self.began = self.last = np.array([time.perf_counter(), time.process_time()])

    def __call__(self, part: str):
        now = np.array([time.perf_counter(), time.process_time()])
        (wall, cpu), (all_wall, all_cpu) = now - self.last, now - self.began
        print(f"{part:48s} {wall:6.2f} s ({cpu:6.2f} cpu)   in all {all_wall:6.2f} s ({all_cpu:6.2f} cpu)")
        self.last = now


def main():
    print(f"{TOKENS:,} tokens, {GROUPS:,} clusters, {len(CATEGORIES)} categories; {os.cpu_count()} cores")
    tokens = draw_tokens(np.random.default_rng(0))
    clock = Clock()
    baseline, *models = (add_up(tokens, name) for name in ("baseline", "model", "later"))
    clock("sums of three models")
    gaps = {"model": difference(baseline, models[0]), "later": difference(baseline, models[1])}
    found = equivalence.equivalence(gaps, 0.01, seed=0)
    assert not np.isnan(found["model"].p_C).any()
    clock("verdicts on two gaps, 9999 sign flips")
    shares.shares(gaps["model"], seed=0)
    clock("shares of a gap, 2000 draws")
    fitted = regression.fit(lambda: pieces(tokens), FORMULA, clusters=GROUPS)
    clock(f"regression on {len(fitted.regressors)} regressors")
    read_calibration(tokens)
    clock("calibration, 15 bins, 1000 draws")
    transfer.expected_gain(transfer.measured(gaps["model"], "family 0"), baseline.count_NC[:200, :LABELS])
    clock("gain on another text")
    intervals.means(baseline.total_NC, baseline.count_NC, seed=0)
    clock("64 categories x 10,000 clusters x 2000 draws")


def draw_tokens(random: np.random.Generator) -> dict[str, np.ndarray]:
    """Columns as a table of scores has them, documents in order."""
    size = random.lognormal(0, 1, GROUPS)
    cluster_T = np.sort(random.choice(GROUPS, TOKENS, p=size / size.sum()).astype(np.int32))
    baseline_T = random.exponential(2, TOKENS).astype(np.float32)
    return {
        "cluster": cluster_T,
        "label": random.integers(LABELS, size=(FAMILIES, TOKENS), dtype=np.int8),
        "baseline": baseline_T,
        "model": baseline_T - random.normal(0.02, 0.5, TOKENS).astype(np.float32),
        "later": baseline_T - random.normal(0.03, 0.5, TOKENS).astype(np.float32),
        "difficulty": random.exponential(3, TOKENS).astype(np.float32),
        "confidence": random.random(TOKENS, np.float32),
        "is_correct": random.random(TOKENS, np.float32) < 0.4,
    }


def flat_labels(label_MT: np.ndarray) -> np.ndarray:
    return label_MT + LABELS * np.arange(FAMILIES, dtype=np.int16)[:, None]


def slices() -> Iterator[slice]:
    return (slice(first, first + PIECE) for first in range(0, TOKENS, PIECE))


def add_up(tokens: dict[str, np.ndarray], name: str) -> Sums:
    total_NC, count_NC = np.zeros((2, GROUPS, len(CATEGORIES)))
    for cut in slices():
        place = (tokens["cluster"][cut], flat_labels(tokens["label"][:, cut]))
        sizes = {"clusters": GROUPS, "categories": len(CATEGORIES)}
        total_NC += cluster_sums(tokens[name][cut], *place, **sizes)
        count_NC += cluster_sums(np.ones(len(place[0])), *place, **sizes)
    return Sums(total_NC=total_NC, count_NC=count_NC, categories=CATEGORIES, data="benchmark")


FORMULA = design.Formula(
    response="gap",
    cluster="cluster",
    factors={f"family {m}": tuple(f"label {c}" for c in range(LABELS)) for m in range(FAMILIES)},
    numbers=("difficulty", "difficulty squared"),
)


def pieces(tokens: dict[str, np.ndarray]) -> Iterator[design.Tokens]:
    for cut in slices():
        yield {
            "cluster": tokens["cluster"][cut],
            "gap": tokens["baseline"][cut] - tokens["model"][cut],
            "difficulty": tokens["difficulty"][cut],
            "difficulty squared": tokens["difficulty"][cut] ** 2,
            **{f"family {m}": tokens["label"][m, cut] for m in range(FAMILIES)},
        }


def read_calibration(tokens: dict[str, np.ndarray]) -> calibrations.Calibration:
    columns = [tokens[name] for name in ("confidence", "is_correct", "cluster")]
    label_MT = flat_labels(tokens["label"])
    parts = [([column[cut] for column in columns], label_MT[:, cut]) for cut in slices()]
    fine_CF = sum(calibrations.fine_counts(part[0], labels, len(CATEGORIES)) for part, labels in parts)
    bin_CF = calibrations.equal_mass(fine_CF)
    sums = calibrations.binned(*columns, label_MT, bin_CF, clusters=GROUPS)
    return calibrations.calibration(sums, seed=0)


if __name__ == "__main__":
    main()
