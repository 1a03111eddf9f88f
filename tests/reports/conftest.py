"""A small record with all that reports tell apart: two kinds, two sets of targets, a lost category, few groups."""

import numpy as np
import pytest

from hybridlm.reports import token_file, token_writer
from hybridlm.reports.comparing import run as comparison_run
from hybridlm.reports.comparing.rows import Settings
from hybridlm.reports.scores import Column, Row, Scores

SUFFIX = "suffix targets"
MEANS = {
    "unigram": {"all": 6.0, "open": 5.0, "none": 6.5},
    "ar": {"all": 3.0, "open": 2.0, "none": 3.5},
    "gated": {"all": 2.9, "open": 5.5, "none": 3.3},
    "masked": {"all": 4.0, "open": 5.5, "none": 3.0},
    "suffix": {"all": 2.5, "open": 1.0, "none": 3.25},
}


TOLD = {"entropy": 2.5, "accuracy": 0.4, "top_5": 0.7, "brier": 0.6, "confidence": 0.45, "reciprocal_rank": 0.5}
OPEN = {"gate": 1.25, "mass": 0.15, "mass_excess": -0.1}
"""Of the label "open", a quarter of the tokens, for which `ar` has too little probability."""


def told(column: str, label: str) -> dict:
    """What the reading `ar` says besides."""
    if column != "ar":
        return {}
    found = TOLD | (OPEN if label == "open" else {})
    ends = {name: (value - 0.05, value + 0.05) for name, value in found.items() if name != "mass"}
    return {**found, "intervals": ends}


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
        **told(column, label),
    )


@pytest.fixture(scope="session")
def scores() -> Scores:
    return Scores(
        columns=(
            Column(name="masked", kind="share", sees="unmasked tokens", samples=8, bits_per_byte=2.0),
            Column(name="unigram", kind="exact", sees="nothing", is_baseline=True),
            Column(name="ar", kind="exact", sees="earlier tokens", bits_per_byte=1.5, unscored={"padding": 1234}),
            Column(name="suffix", kind="exact", sees="the prefix, then earlier tokens", targets=SUFFIX),
            Column(name="gated", kind="exact", sees="earlier tokens", note="with counts"),
        ),
        rows=tuple(row(column, label, mean) for column, means in MEANS.items() for label, mean in means.items()),
        run={"name": "tiny", "parameters": 1_234_567, "split": "validation"},
        families={"bracket": {"question": "A bracket?", "labels": {"none": "no bracket", "open": "opening"}}},
    )


KINDS = {"word": "letters", "digit": "digits", "bracket": "an open or close bracket"}
DOMAINS = {"prose": "documents of prose", "code": "documents of code"}
GROUPS, WORDS = 36, ("so", " the", " old", " café", " ran", " (", " 12", " 7", ")", " €")


def _labels(piece: str) -> str:
    return "digit" if piece.strip().isdigit() else "bracket" if piece.strip() in "()" else "word"


@pytest.fixture(scope="session")
def token_columns():
    """A function of a seed, a gain per kind, and names: the header, columns and texts of a small token file."""

    def make(seed=0, gain=None, checkpoint="a", tokenizer="words-1", kind="exact"):
        fixed, random = np.random.default_rng(7), np.random.default_rng(100 + seed)
        header = token_file.Header(
            readings={"ar": token_file.Reading(kind=kind), "unigram": token_file.Reading(sees="nothing")},
            families={
                "kind": token_file.Family(labels=KINDS, question="What is it made of?"),
                "domain": token_file.Family(labels=DOMAINS, is_known_before=True),
            },
            tokenizer=tokenizer,
            checkpoint=checkpoint,
            code="tests 1",
        )
        columns, texts = {}, {}
        for number in range(GROUPS):
            ids = fixed.integers(len(WORDS), size=int(fixed.integers(12, 30)))
            cost = 1 + fixed.exponential(2, len(ids))  # the same for every seed: readings of one text go together
            pieces = [WORDS[n] for n in ids]
            ends = np.cumsum([len(piece.encode()) for piece in pieces])
            names = [_labels(piece) for piece in pieces]
            score = cost - [(gain or {}).get(name, 0.0) for name in names] + random.normal(0, 0.05, len(ids))
            confidence = np.exp(-np.clip(score, 0.05, 3))
            rows = {
                "document": [f"doc {number:02d}"] * len(ids),
                "group": [f"group {number:02d}"] * len(ids),
                "position": range(len(ids)),
                "byte_start": [0, *ends[:-1]],
                "byte_end": ends,
                "token": ids,
                "score/ar": [None, *score[1:]],
                "confidence/ar": [None, *confidence[1:]],
                "correct/ar": [None, *(random.random(len(ids)) < confidence)[1:]],
                "entropy/ar": [None, *(cost[1:] / 2)],
                "rank/ar": [None, *np.ceil(np.maximum(score[1:], 0.5)).astype(int)],
                "score/unigram": 2.0 + ids / 10,
                "label/kind": names,
                "label/domain": [("prose", "code")[number % 2]] * len(ids),
            }
            texts[f"doc {number:02d}"] = "".join(pieces)
            for name, values in rows.items():
                columns.setdefault(name, []).extend(values)
        return header, columns, texts

    return make


@pytest.fixture(scope="session")
def token_files(token_columns, tmp_path_factory):
    """Directories with a baseline, a model that gains 0.3 nats on words alone, its second seed, and a longer run."""
    root = tmp_path_factory.mktemp("token files")
    made = {"base": (0, {}), "model": (1, {"word": 0.3}), "again": (2, {}), "longer": (3, {"word": 0.1, "digit": 0.1})}
    for name, (seed, gain) in made.items():
        token_writer.write(root / name / "tokens.parquet", *token_columns(seed, gain, checkpoint=name))
    return root


@pytest.fixture(scope="session")
def compared(token_files):
    """The model against the baseline: the record and the aligned text."""
    paths = {name: str(token_files / name) for name in ("base", "model", "again", "longer")}
    settings = Settings(
        draws=300,
        permutations=499,
        seeds=((paths["base"], paths["again"]),),
        placebo=((paths["base"], paths["longer"]), (paths["again"], paths["longer"])),
    )
    return comparison_run.compare([paths["base"], paths["model"]], "", settings)
