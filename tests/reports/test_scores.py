"""The record: it comes back from JSON as it was, and refuses what would mislead a reader."""

import dataclasses
import json

import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.facts.kinds import ScoreKind
from hybridlm.reports.scores import KINDS, Column, Row, load, save


def test_a_saved_record_comes_back_equal(scores, tmp_path):
    save(scores, tmp_path / "scores.json")
    assert load(tmp_path / "scores.json") == scores


def test_files_are_strict_json(scores, tmp_path):
    broken = dataclasses.replace(scores.rows[0], mean=float("nan"))
    with pytest.raises(ValueError, match="JSON"):
        save(dataclasses.replace(scores, rows=(broken, *scores.rows[1:])), tmp_path / "scores.json")


def test_any_other_json_is_no_score_file(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"columns": []}))
    with pytest.raises(ConfigError, match=r"is no score file: it lacks \['rows'\]; `hybridlm evaluate` writes one"):
        load(tmp_path / "config.json")


def test_every_kind_of_score_is_explained():
    assert list(KINDS) == [kind.label for kind in ScoreKind]


def test_a_kind_nobody_defined_is_refused():
    with pytest.raises(ConfigError, match=r"kind of column 'ar'='exakt' is not one of .*did you mean 'exact'"):
        Column(name="ar", kind="exakt", sees="")


def test_a_row_of_no_column_is_refused(scores):
    stray = Row(family="bracket", label="open", column="maskd", mean=1.0, tokens=1, groups=1)
    with pytest.raises(ConfigError, match="rows name the column 'maskd', which is not declared; did you mean 'masked'"):
        dataclasses.replace(scores, rows=(*scores.rows, stray))


def test_a_row_that_stands_twice_is_refused(scores):
    with pytest.raises(ConfigError, match=r"one row per family, label and column, but .* stands twice"):
        dataclasses.replace(scores, rows=(*scores.rows, scores.rows[0]))


def test_column_names_are_unique(scores):
    with pytest.raises(ConfigError, match="column names must be unique"):
        dataclasses.replace(scores, columns=(*scores.columns, scores.columns[0]))


def test_a_column_needs_its_total(scores):
    rows = tuple(row for row in scores.rows if (row.family, row.column) != ("all", "ar"))
    with pytest.raises(
        ConfigError, match="column 'ar' has no row for all its tokens; add one with family and label 'all'"
    ):
        dataclasses.replace(scores, rows=rows)
