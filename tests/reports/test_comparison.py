"""The record of a comparison and its JSON, for people and for other programs."""

import json

import numpy as np
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.reports import comparison
from hybridlm.statistics.transfer import Measured, expected_gain


@pytest.fixture(scope="module")
def path(compared, tmp_path_factory):
    path = tmp_path_factory.mktemp("record") / "comparison.json"
    comparison.save(compared[0], path)
    return path


def test_what_was_saved_is_loaded(path, compared):
    again = comparison.load(path)
    assert comparison.dumps(again) == path.read_text() == comparison.dumps(compared[0])
    assert again.models[0].name == "model" and again.baseline.name == "base"
    assert [row.label for row in again.rows_of("model", "kind")] == ["word", "digit", "bracket"]


def test_measured_gaps_go_on_to_another_text(path):
    """A text of words alone gains what words gained; half of it brackets, half of that."""
    measured = comparison.load(path).measured
    assert set(measured) == {"all", "kind", "domain"} and isinstance(measured["kind"], Measured)
    words, mixed = np.array([[50, 0, 0]] * 40), np.array([[25, 0, 25]] * 40)
    gap = dict(zip(measured["kind"].labels, measured["kind"].gap_C))
    assert expected_gain(measured["kind"], words).gain == pytest.approx(gap["word"])
    assert expected_gain(measured["kind"], mixed).gain == pytest.approx((gap["word"] + gap["bracket"]) / 2)


def test_gaps_of_the_rows_and_of_measured_are_the_same(path):
    found = comparison.load(path)
    for family, measured in found.measured.items():
        rows = found.rows_of("model", family)
        assert [row.label for row in rows] == list(measured.labels)
        np.testing.assert_allclose([row.gap for row in rows], measured.gap_C, rtol=1e-9)
        np.testing.assert_allclose([row.error for row in rows], np.sqrt(measured.covariance_CC.diagonal()), rtol=1e-9)


def test_no_reader_of_json_stumbles(path):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    json.loads(path.read_text(), parse_constant=refuse)


def test_hashes_of_everything_are_there(path):
    content = json.loads(path.read_text())
    assert len(content["data"]) == 64
    assert all(len(entry["scores"]) == 64 and entry["tokenizer"] == "words-1" for entry in content["readings"])
    assert [entry["checkpoint"] for entry in content["readings"]] == ["base", "model"]
    assert content["settings"]["margin"] == 0.01 and content["format"] == "hybridlm.comparison"


def test_the_directory_of_a_comparison_is_as_good_as_its_record(path, tmp_path):
    assert path.name == comparison.FILE
    assert repr(comparison.load(path.parent)) == repr(comparison.load(path))
    with pytest.raises(ConfigError, match=f"{tmp_path} holds no comparison.json; name the --output of a `hybridlm co"):
        comparison.load(tmp_path)


def test_a_record_of_the_version_before_is_read(path, tmp_path):
    content = json.loads(path.read_text())
    assert content["version"] == 3 and "is_p_all_least" not in content["rows"][0]
    content["version"] = 2
    content["rows"] = [row | {"is_p_all_least": row["is_p_least"]} for row in content["rows"]]
    (tmp_path / "old.json").write_text(json.dumps(content))
    assert comparison.dumps(comparison.load(tmp_path / "old.json")) == path.read_text()
    (tmp_path / "older.json").write_text(json.dumps(content | {"version": 1}))
    with pytest.raises(ConfigError, match="format 'hybridlm.comparison' and version 3 or 2; `hybridlm compare` writes"):
        comparison.load(tmp_path / "older.json")


def test_another_file_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("Not JSON at all.")
    with pytest.raises(ConfigError, match="notes.txt is no comparison that this hybridlm reads, format"):
        comparison.load(tmp_path / "notes.txt")
    (tmp_path / "scores.json").write_text('{"columns": [], "rows": []}')
    with pytest.raises(ConfigError, match="scores.json is no comparison that this hybridlm reads, format"):
        comparison.load(tmp_path / "scores.json")


GOLDEN = """
all all +0.19
kind word +0.31 differs outside
kind digit -0.01 undecided inside
kind bracket +0.00 undecided inside
"""


def test_the_small_comparison_is_what_it_was(path):
    """Looked over by eye: the model was made to gain 0.3 nats on words and nothing else."""
    found = comparison.load(path)
    rows = [row for row in found.rows if row.family in ("all", "kind")]
    lines = [
        f"{row.family} {row.label} {row.gap:+.2f}"
        + (f" {row.verdict} {row.seeds_place}" if row.family == "kind" else "")
        for row in rows
    ]
    assert lines == GOLDEN.strip().splitlines()
