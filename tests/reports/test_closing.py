"""An evaluation ends with what it found, where it lies, and a command that can be typed."""

import dataclasses

from etils import epath

from hybridlm.reports.closing import lines, next_of

RUN = epath.Path("runs/again")


def said(scores, directory=RUN):
    told = lines(scores, directory, "report.html", ("scores.csv", "tokens.parquet"))
    return [*told, next_of(scores, directory)]


def of(scores, *names):
    """The record of these columns alone."""
    columns = tuple(column for column in scores.columns if column.name in names)
    return dataclasses.replace(scores, columns=columns, rows=tuple(row for row in scores.rows if row.column in names))


def test_every_reading_of_all_tokens_is_told_with_its_kind_and_interval(scores):
    assert said(scores) == [
        "overall, in nats per token: masked 4.000 [3.950, 4.050] (share), unigram 6.000 [5.950, 6.050] (exact), "
        "ar 3.000 [2.950, 3.050] (exact), gated 2.900 [2.850, 2.950] (exact)",
        "report: runs/again/report.html, beside it scores.csv, tokens.parquet",
        "next: hybridlm compare runs/again@unigram runs/again@ar runs/again@gated --output=runs/again/compared",
    ]


def test_without_a_baseline_those_of_one_kind_are_compared(scores):
    *_, command = said(of(scores, "masked", "ar", "gated"))
    assert command == "next: hybridlm compare runs/again@ar runs/again@gated --output=runs/again/compared"


def test_a_single_reading_is_compared_with_another_evaluation(scores):
    few = of(scores, "masked", "ar")
    rows = tuple(dataclasses.replace(row, low=None, high=None) for row in few.rows)
    overall, _, command = said(dataclasses.replace(few, rows=rows), epath.Path("my runs/again"))
    assert overall == "overall, in nats per token: masked 4.000 (share), ar 3.000 (exact)"
    assert command == (
        "next: hybridlm compare 'my runs/again' OTHER '--output=my runs/again/compared' (OTHER: the directory of "
        "another evaluation of this text)"
    )


def test_readings_of_some_tokens_are_told_where_none_has_all(scores):
    assert said(of(scores, "unigram", "suffix")) == [
        "overall, in nats per token: suffix 2.500 [2.450, 2.550] (exact)",
        "report: runs/again/report.html, beside it scores.csv, tokens.parquet",
        "next: hybridlm compare runs/again OTHER --output=runs/again/compared (OTHER: the directory of another "
        "evaluation of this text)",
    ]
