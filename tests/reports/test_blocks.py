"""Marks: what loses to the baseline, what is best of its kind, and what rests on few groups."""

import dataclasses

import pytest

from hybridlm.reports.blocks import baseline_of, blocks, ordered, words


def cells(scores):
    """(label, column) -> cell."""
    return {
        (line.label, column): cell
        for block in blocks(scores)
        for line in block.lines
        for column, cell in line.cells.items()
    }


def test_only_the_category_that_the_baseline_wins_is_marked(scores):
    losers = {place for place, cell in cells(scores).items() if cell.loses}
    assert losers == {("open", "gated")}


def test_shares_of_a_bound_are_held_against_likelihoods_in_total_alone(scores):
    worse = tuple(dataclasses.replace(row, mean=9.0) if row.column == "masked" else row for row in scores.rows)
    found = cells(dataclasses.replace(scores, rows=worse))
    assert found["all", "masked"].loses
    assert found["open", "masked"].loses is None


def test_shares_of_a_bound_are_compared_with_each_other_in_total_alone(scores):
    columns = tuple(dataclasses.replace(c, kind="share") if c.name in ("ar", "gated") else c for c in scores.columns)
    best = {place for place, cell in cells(dataclasses.replace(scores, columns=columns)).items() if cell.is_best}
    assert best == {("all", "gated")}


def test_equal_to_the_baseline_is_not_better(scores):
    rows = tuple(dataclasses.replace(row, mean=6.0) if row.column == "ar" else row for row in scores.rows)
    assert cells(dataclasses.replace(scores, rows=rows))["all", "ar"].loses


def test_other_targets_are_not_held_against_the_baseline(scores):
    by_name = {column.name: column for column in scores.columns}
    assert baseline_of(scores, by_name["ar"]) == baseline_of(scores, by_name["masked"]) == by_name["unigram"]
    assert baseline_of(scores, by_name["suffix"]) is None is baseline_of(scores, by_name["unigram"])
    assert cells(scores)["open", "suffix"].loses is None


def test_best_is_found_among_equal_kinds_and_targets_alone(scores):
    best = {place for place, cell in cells(scores).items() if cell.is_best}
    assert best == {("all", "gated"), ("none", "gated")}, "brackets that open stand in too few groups"


@pytest.mark.parametrize(("mean", "is_best"), [(2.901, False), (2.99, False), (3.01, True)])
def test_none_is_best_where_intervals_overlap(scores, mean, is_best):
    """`gated` is at 2.9 ± 0.05, and all of its kind but the baseline at `mean` ± 0.05."""
    ends = {"mean": mean, "low": mean - 0.05, "high": mean + 0.05}
    rows = [
        dataclasses.replace(row, **ends) if (row.label, row.column) == ("all", "ar") else row for row in scores.rows
    ]
    found = cells(dataclasses.replace(scores, rows=tuple(rows)))
    assert (found["all", "gated"].is_best, found["all", "ar"].is_best) == (is_best, False)


def test_none_is_best_without_intervals(scores):
    rows = tuple(dataclasses.replace(row, low=None, high=None) for row in scores.rows)
    assert not any(cell.is_best for cell in cells(dataclasses.replace(scores, rows=rows)).values())


def test_an_interval_of_few_groups_is_flagged(scores):
    assert {label for (label, _), cell in cells(scores).items() if cell.is_few} == {"open"}


def test_columns_of_one_kind_and_one_set_of_targets_stand_together(scores):
    assert [column.name for column in ordered(scores)] == ["masked", "unigram", "ar", "gated", "suffix"]


def test_labels_follow_their_definitions_and_shares_add_up(scores):
    total, bracket = blocks(scores)
    assert (total.family, bracket.question) == ("all", "A bracket?")
    assert [(line.label, line.definition, line.tokens) for line in bracket.lines] == [
        ("none", "no bracket", 3000),
        ("open", "opening", 1000),
    ]
    assert sum(line.share for line in bracket.lines) == 1


@pytest.mark.parametrize(
    ("name", "written"), [("1k_10k", "1k–10k"), ("beyond_50k", "beyond 50k"), ("partial_utf8", "partial utf8")]
)
def test_names_are_written_as_a_person_writes_them(name, written):
    assert words(name) == written
