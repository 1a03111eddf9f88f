"""A small record with all that reports tell apart: two kinds, two sets of targets, a lost category, few groups."""

import pytest

from hybridlm.reports.scores import Column, Row, Scores

SUFFIX = "suffix targets"
MEANS = {
    "unigram": {"all": 6.0, "open": 5.0, "none": 6.5},
    "ar": {"all": 3.0, "open": 2.0, "none": 3.5},
    "gated": {"all": 2.9, "open": 2.1, "none": 3.3},
    "masked": {"all": 4.0, "open": 5.5, "none": 3.0},
    "suffix": {"all": 2.5, "open": 1.0, "none": 3.25},
}


def row(column: str, label: str, mean: float) -> Row:
    groups = 12 if label == "open" else 100
    return Row(
        family="all" if label == "all" else "bracket",
        label=label,
        column=column,
        mean=mean,
        low=mean - 0.05,
        high=mean + 0.05,
        standard_error_mc=0.004 if column == "masked" else None,
        tokens={"all": 4000, "open": 1000, "none": 3000}[label],
        groups=groups,
    )


@pytest.fixture(scope="session")
def scores() -> Scores:
    return Scores(
        columns=(
            Column(name="masked", kind="share", sees="unmasked tokens", samples=8, bits_per_byte=2.0),
            Column(name="unigram", kind="exact", sees="nothing", is_baseline=True),
            Column(name="ar", kind="exact", sees="earlier tokens", bits_per_byte=1.5),
            Column(name="suffix", kind="exact", sees="the prefix, then earlier tokens", targets=SUFFIX),
            Column(name="gated", kind="exact", sees="earlier tokens", note="with counts"),
        ),
        rows=tuple(row(column, label, mean) for column, means in MEANS.items() for label, mean in means.items()),
        run={"name": "tiny", "parameters": 1_234_567, "split": "validation"},
        families={"bracket": {"question": "A bracket?", "labels": {"none": "no bracket", "open": "opening"}}},
    )
