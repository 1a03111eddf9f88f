"""The terminal table as text."""

import dataclasses
import io

import pytest
from rich.console import Console

from hybridlm.reports.terminal import show


def printed(scores, width=140) -> str:
    console = Console(file=io.StringIO(), width=width)
    show(scores, console)
    return console.file.getvalue()


def test_readings_of_the_same_targets_stand_side_by_side(scores):
    lines = [line.split() for line in printed(scores).splitlines()]
    assert lines[1] == [*("nats", "per", "token", "tokens", "share", "exact", "exact", "exact")]
    assert lines[2] == [
        *("all", "4,000", "100%", "4.000", "±0.050", "6.000", "±0.050", "3.000", "±0.050", "2.900", "±0.050")
    ]
    assert lines[3] == ["bracket"]


def test_other_targets_have_a_table_of_their_own_with_their_own_counts(scores):
    rows = [dataclasses.replace(row, tokens=row.tokens // 4) if row.column == "suffix" else row for row in scores.rows]
    text = printed(dataclasses.replace(scores, rows=tuple(rows)))
    assert text.count("nats per token") == 2
    lines = [line.split() for line in text.splitlines()]
    assert ["all", "1,000", "100%", "2.500", "±0.050"] in lines


def test_a_column_that_loses_to_the_baseline_is_marked(scores):
    text = printed(scores)
    assert "5.500✗†" in text and text.count("✗") == 2  # the cell and the legend
    assert "✗ no better than the baseline on the same targets." in text


def test_without_a_baseline_there_is_no_such_mark(scores):
    columns = tuple(dataclasses.replace(column, is_baseline=False) for column in scores.columns)
    assert "✗" not in printed(dataclasses.replace(scores, columns=columns))


def test_the_reader_is_told_what_shares_are(scores):
    assert "shares move cost between tokens and are not surprisal" in " ".join(printed(scores).split())


def test_every_column_says_what_it_saw_and_scored(scores):
    text = printed(scores)
    assert "ar: 1.500 bits per byte; on all scored tokens; sees earlier tokens; not scored: 1,234 padding." in text
    assert "suffix: on suffix targets; sees the prefix, then earlier tokens." in text


def test_the_check_of_sums_is_printed_where_there_is_one(scores):
    assert "Check of sums" not in printed(scores)
    checked = dataclasses.replace(scores, run={**scores.run, "residual": {"ar": -0.0123, "masked": 0.0}})
    assert " ".join(printed(checked).split()).endswith(
        "Check of sums: tokens must add up to what their sequences cost as a whole. Rounding alone leaves them off by "
        "ar -0.012 of 12,000 nats, masked 0 of 16,000 nats."
    )


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_narrow_terminal_gets_more_tables_and_loses_nothing(scores, width):
    text = printed(scores, width)
    assert all(f"{row.mean:.3f}" in text for row in scores.rows)
    assert text.count("nats per token") == {60: 5, 80: 4, 100: 3}[width]
    assert max(map(len, text.splitlines())) <= width


def test_every_part_of_a_wide_table_opens_with_its_baseline(scores):
    heads = [line.split() for line in printed(scores, 100).splitlines() if "unigram" in line or "gated" in line]
    assert heads[:2] == [["unigram", "masked", "ar"], ["unigram", "gated"]]


def test_bold_is_told_and_is_no_test(scores):
    told = "Bold: the lowest of its kind on the same targets, if its whole interval lies below theirs, on 30 groups or"
    assert told in printed(scores)


def test_an_interval_that_does_not_exist_is_not_invented(scores):
    rows = tuple(dataclasses.replace(row, low=None, high=None) for row in scores.rows)
    assert "±0" not in printed(dataclasses.replace(scores, rows=rows))


def test_a_skewed_interval_is_told_by_its_longer_side(scores):
    rows = [dataclasses.replace(row, high=row.mean + 0.07) if row.column == "ar" else row for row in scores.rows]
    text = printed(dataclasses.replace(scores, rows=tuple(rows)), 180)
    lines = [line.split()[:9] for line in text.splitlines()]
    assert [*("all", "4,000", "100%", "4.000", "±0.050", "6.000", "±0.050", "3.000", "±0.070")] in lines
    assert "± the longer side of the 95 % interval" in text


def test_markup_in_a_name_is_printed_as_it_is(scores):
    rows = tuple(dataclasses.replace(row, label="[red]x[/]") if row.label == "open" else row for row in scores.rows)
    assert "[red]x[/]" in printed(dataclasses.replace(scores, rows=rows))
