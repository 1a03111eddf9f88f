"""An expected gain is shares of the text times gaps, whatever order the labels come in, in tokens or in bytes."""

import dataclasses
import math

import numpy as np
import pytest

from hybridlm.data.progress import silent
from hybridlm.inspection import gains as gain_inspection
from hybridlm.inspection import text as text_inspection
from hybridlm.inspection.gains import gains
from hybridlm.inspection.text import look
from hybridlm.reports.comparison import Comparison, Entry
from hybridlm.reports.inspection import WHOLE
from hybridlm.statistics.transfer import Measured

BRACKETS = {"close": 0.3, "open": 0.2, "none": 0.1, "mixed": math.nan}
"""Gaps in another order than that of the labels; the last was never measured."""


def measured(family: str, gaps: dict[str, float], error: float = 0.01) -> Measured:
    gap_C = np.array(list(gaps.values()))
    is_known_C = np.isfinite(gap_C)
    covariance_CC = np.where(np.outer(is_known_C, is_known_C), error**2 * np.eye(len(gaps)), np.nan)
    clusters_C = np.where(is_known_C, 50, 0)
    return Measured(
        family=family,
        labels=tuple(gaps),
        gap_C=gap_C,
        covariance_CC=covariance_CC,
        clusters_C=clusters_C,
        data="d",
        unit="token",
    )


def entry(name: str, tokenizer: str) -> Entry:
    nothing = dict.fromkeys(("mean", "low", "high", "bits_per_byte"), 1.0)
    same = {"path": "", "reading": "ar", "kind": "exact", "sees": "", "checkpoint": "", "code": "", "scores": ""}
    return Entry(name=name, samples=1, tokenizer=tokenizer, is_baseline=name == "plain", **nothing, **same)


def comparison(tokenizer: str, gaps: dict[str, dict[str, Measured]], unit: str = "token") -> Comparison:
    nothing = dict.fromkeys(("notes", "rows", "regressions", "calibration", "recall", "distance", "frequency"), ())
    counts = dict.fromkeys(("tokens", "bytes", "documents", "clusters", "left_out"), 50)
    gaps = {
        model: {name: dataclasses.replace(gap, unit=unit) for name, gap in found.items()}
        for model, found in gaps.items()
    }
    return Comparison(
        settings={},
        methods="",
        unit=unit,
        data="d",
        readings=(entry("plain", tokenizer), *(entry(name, tokenizer) for name in gaps)),
        families={},
        gaps=gaps,
        hybridlm="0",
        **nothing,
        **counts,
    )


@pytest.fixture(scope="module")
def described(prepared):
    return text_inspection.describe(look(prepared), silent)


@pytest.fixture(scope="module")
def brackets(described):
    """Label -> tokens."""
    family = next(family for family in described[0].families if family.name == "bracket")
    return {label.name: label.tokens[WHOLE] for label in family.labels}


@pytest.fixture(scope="module")
def tokenizer(prepared):
    return prepared.tokenizer.sha256[:16]


def test_a_gain_is_the_sum_of_shares_times_gaps(prepared, described, brackets, tokenizer):
    compared = comparison(tokenizer, {"hybrid": {"bracket": measured("bracket", BRACKETS)}})
    found = gains(compared, prepared, described[1], silent)
    (gain,) = found.gains
    known = {label: tokens for label, tokens in brackets.items() if label != "mixed" and tokens}
    total = sum(known.values())
    assert gain.gain == pytest.approx(sum(tokens / total * BRACKETS[label] for label, tokens in known.items()))
    assert {part.label: part.share for part in gain.classes} == pytest.approx(
        {label: tokens / total for label, tokens in known.items()}
    )
    assert sum(part.adds for part in gain.classes) == pytest.approx(gain.gain)
    assert gain.covered == pytest.approx(total / sum(brackets.values()))
    assert gain.unmeasured == (("mixed",) if brackets["mixed"] else ())
    assert gain.low < gain.gain < gain.high
    assert found.notes == () and found.missing == {}


def test_the_interval_carries_the_doubt_of_gaps_and_of_the_text(prepared, described, tokenizer):
    def errors(error):
        compared = comparison(tokenizer, {"hybrid": {"bracket": measured("bracket", BRACKETS, error)}})
        (gain,) = gains(compared, prepared, described[1], silent).gains
        return gain

    sure, doubtful = errors(0.0), errors(0.05)
    assert sure.error_of_gaps == 0 < sure.error_of_text, "its groups differ in their classes"
    assert doubtful.error_of_text == pytest.approx(sure.error_of_text) and doubtful.error_of_gaps > 0
    assert doubtful.high - doubtful.low > sure.high - sure.low > 0


def test_clusters_are_the_split_groups(prepared, described, monkeypatch):
    order = {"bracket": tuple(BRACKETS)}
    groups = sum(split.groups for split in prepared.manifest.splits.values())
    counts, _ = gain_inspection.count(prepared, described[1], order, "token", silent)
    assert len(counts["bracket"]) == groups
    monkeypatch.setattr(gain_inspection, "CLUSTERS", 7)
    joined, _ = gain_inspection.count(prepared, described[1], order, "token", silent)
    assert len(joined["bracket"]) == 7 and np.array_equal(joined["bracket"].sum(0), counts["bracket"].sum(0))


def test_all_tokens_alike_gain_what_was_measured_of_all(prepared, described, tokenizer):
    compared = comparison(tokenizer, {"hybrid": {"all": measured("all", {"all": 0.25})}})
    (gain,) = gains(compared, prepared, described[1], silent).gains
    assert gain.gain == 0.25 and gain.covered == 1
    whole = [portion for portion in described[0].portions if portion.part == WHOLE]
    tokens = sum(portion.tokens + portion.documents for portion in whole)
    per_token = sum(portion.bytes for portion in whole) / tokens
    assert gain.bits_per_byte[0] == pytest.approx(0.25 / per_token / math.log(2))


def test_gaps_per_byte_are_weighed_by_bytes(prepared, described, tokenizer):
    compared = comparison(tokenizer, {"hybrid": {"all": measured("all", {"all": 0.25})}}, unit="byte")
    (gain,) = gains(compared, prepared, described[1], silent).gains
    assert gain.bits_per_byte[0] == pytest.approx(0.25 / math.log(2)) and gain.gain > 0.25
    counts, _ = gain_inspection.count(prepared, described[1], {"all": ("all",)}, "byte", silent)
    assert counts["all"].sum() == sum(split.text_bytes for split in prepared.manifest.splits.values())


def test_every_model_gets_its_gains_and_what_gives_none_is_said(prepared, described, tokenizer):
    some, more = (
        {
            "bracket": measured("bracket", {label: gap * factor for label, gap in BRACKETS.items()}),
            "content_only": measured("content_only", {"rest": 0.1, "selected": 0.2}),
            "domain": measured("domain", {"poems": 0.1}),
        }
        for factor in (1, 2)
    )
    found = gains(comparison(tokenizer, {"some": some, "more": more}), prepared, described[1], silent)
    gain = {gain.model: gain.gain for gain in found.gains}
    assert list(found.by_model) == ["some", "more"] and gain["more"] == pytest.approx(2 * gain["some"])
    assert found.missing == {
        "content_only": "the rows have no labels of it",
        "domain": "no class of this text was measured on two clusters or more",
    }


def test_gaps_per_token_of_another_tokenizer_are_pointed_out(prepared, described):
    compared = comparison("f00d" * 4, {"hybrid": {"all": measured("all", {"all": 0.25})}})
    (note,) = gains(compared, prepared, described[1], silent).notes
    assert note.startswith("the gaps are per token of another tokenizer (f00df00df00df00d) than that of these rows")
    assert "--model of a compared run" in note
