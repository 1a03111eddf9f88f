"""The token file of an evaluation reads back as what was evaluated, and spells the documents."""

import json

import numpy as np
import pytest

from hybridlm.evaluation import token_table
from hybridlm.reports import token_reader


@pytest.fixture(scope="module")
def tokens(trained):
    return token_reader.read(trained / "tokens.parquet")


def test_scores_are_those_of_the_report(tokens, trained):
    rows = json.loads((trained / "scores.json").read_text())["rows"]
    for row in rows:
        if row["family"] == "all":
            score_T = tokens.columns[f"score/{row['column']}"]
            assert np.isfinite(score_T).sum() == row["tokens"]
            assert np.nanmean(score_T) == pytest.approx(row["mean"], rel=1e-5)
    (right,) = [row for row in rows if (row["family"], row["column"]) == ("all", "ar")]
    assert np.nanmean(tokens.columns["correct/ar"]) == pytest.approx(right["accuracy"])
    assert np.nanmean(tokens.columns["entropy/ar"]) == pytest.approx(right["entropy"], rel=1e-5)
    assert np.nanmean(1 / tokens.columns["rank/ar"]) == pytest.approx(right["reciprocal_rank"], rel=1e-5)


def test_spans_spell_the_documents(tokens):
    for number, text in enumerate(tokens.texts):
        here = tokens.document_T == number
        spans = zip(tokens.byte_start_T[here], tokens.byte_end_T[here])
        spelt = b"".join(text[begin:end] for begin, end in spans)
        assert spelt == text, "all of it, in order"


def test_the_header_says_what_the_columns_mean(tokens, trained):
    readings = tokens.header.readings
    assert (readings["ar"].kind, readings["masked"].kind, readings["masked"].samples) == ("exact", "share", 2)
    assert [name for name, family in tokens.header.families.items() if family.is_known_before] == ["domain"]
    assert tokens.header.checkpoint == "tiny, step 20"


def test_documents_and_groups_have_the_names_they_were_given(tokens):
    assert set(tokens.groups) == {f"validation {n}" for n in range(32)}
    assert not any(name.isdecimal() for name in tokens.documents)


def test_sampled_readings_tell_the_error_of_every_token(tokens):
    error_T, score_T = tokens.columns["error/masked"], tokens.columns["score/masked"]
    np.testing.assert_array_equal(np.isnan(error_T), np.isnan(score_T))
    assert "error/ar" not in tokens.columns and np.nanmax(error_T) > 0


def test_a_column_called_as_what_is_told_of_columns_is_a_column_all_the_same():
    names = ("gate", "gate/gate", "entropy", "entropy/gate", "likeliest/gate", "document")
    assert set(token_table._told(dict.fromkeys(names, np.zeros(1)))) == {"gate/gate", "entropy/gate"}
