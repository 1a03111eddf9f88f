"""Metrics are compared like the loss: means of plain loops, paired gaps, and nothing where a file is silent."""

import dataclasses
import io

import numpy as np
import pandas as pd
import pytest

from hybridlm.reports import token_writer
from hybridlm.reports.comparing import html, tables
from hybridlm.reports.comparing.rows import Settings
from hybridlm.reports.comparing.run import compare
from hybridlm.statistics.intervals import linearised

QUICK = Settings(draws=50, permutations=49)
MADE = {
    "accuracy": ("correct", lambda x: x),
    "top_5": ("rank", lambda x: x <= 5),
    "reciprocal_rank": ("rank", lambda x: 1 / x),
    "confidence": ("confidence", lambda x: x),
}


def record_of(found, metric, family="all", label="all"):
    (record,) = [r for r in found.metrics if (r["metric"], r["family"], r["label"]) == (metric, family, label)]
    return record


def column(tokens, text, name, source):
    return tokens.columns[f"{name}/ar"][text.rows[source]].astype(float)


def test_means_and_gaps_are_those_of_the_tokens(compared):
    found, text = compared
    base, model = (source.tokens for source in text.sources)
    is_word_T = text.label["kind"] == 0
    for metric, (name, change) in MADE.items():
        ours, theirs = (change(column(tokens, text, name, s)) for tokens, s in ((base, "base"), (model, "model")))
        for here, place in ((slice(None), ("all", "all")), (is_word_T, ("kind", "word"))):
            record = record_of(found, metric, *place)
            assert record["baseline"] == pytest.approx(ours[here].mean())
            assert record["mean"] == pytest.approx(theirs[here].mean())
            assert record["gap"] == pytest.approx(ours[here].mean() - theirs[here].mean())
            assert record["count"] == len(ours[here])


def test_the_interval_is_clustered_and_paired(compared):
    found, text = compared
    gaps = [column(s.tokens, text, "confidence", s.name) for s in text.sources]
    frame = pd.DataFrame({"group": text.cluster_T, "gap": gaps[0] - gaps[1], "one": 1}).groupby("group").sum()
    ends = linearised(frame["gap"].to_numpy()[:, None], frame["one"].to_numpy()[:, None])
    record = record_of(found, "confidence")
    assert (record["low"], record["high"]) == pytest.approx((ends.low_C[0], ends.high_C[0]))
    assert record_of(found, "entropy")["gap"] == record_of(found, "entropy")["low"] == 0, (
        "equal in both, token by token"
    )


def test_what_a_file_does_not_tell_is_not_compared(compared, token_columns, token_files, tmp_path):
    assert {record["metric"] for record in compared[0].metrics} == {
        *("entropy", "confidence", "accuracy", "top_5", "reciprocal_rank")
    }
    header, columns, texts = token_columns(1, {"word": 0.3}, checkpoint="model")
    bare = {name: values for name, values in columns.items() if name.partition("/")[0] not in ("rank", "entropy")}
    token_writer.write(tmp_path / "bare.parquet", header, bare, texts)
    found = compare([str(token_files / "base"), str(tmp_path / "bare.parquet")], "", QUICK)[0]
    assert {record["metric"] for record in found.metrics} == {"confidence", "accuracy"}
    least = {name: values for name, values in bare.items() if name not in ("confidence/ar", "correct/ar")}
    token_writer.write(tmp_path / "least.parquet", header, least, texts)
    found = compare([str(token_files / "base"), str(tmp_path / "least.parquet")], "", QUICK)[0]
    assert found.metrics == ()
    assert "accuracy_gap" not in tables.csv(found) and "say besides" not in html.render(found, [])


def test_across_tokenizers_there_are_none(token_columns, token_files, tmp_path):
    header, columns, texts = token_columns(checkpoint="other")
    token_writer.write(
        tmp_path / "other.parquet", dataclasses.replace(header, tokenizer="words-2"), shifted(columns), texts
    )
    found = compare([str(token_files / "base"), str(tmp_path / "other.parquet")], "", QUICK)[0]
    assert (found.unit, found.metrics) == ("byte", ())


def shifted(columns):
    """Every document without its last token, which makes other rows of it."""
    last = [
        p + 1 == len(columns["position"]) or columns["position"][p + 1] == 0 for p in range(len(columns["position"]))
    ]
    return {name: [value for value, is_last in zip(values, last) if not is_last] for name, values in columns.items()}


def test_the_table_and_the_page_say_what_the_record_says(compared):
    found, _ = compared
    table = pd.read_csv(io.StringIO(tables.csv(found))).set_index(["family", "label"])
    for place in (("all", "all"), ("kind", "digit")):
        record = record_of(found, "accuracy", *place)
        assert table.loc[place, "accuracy_gap"] == pytest.approx(record["gap"])
        assert table.loc[place, "accuracy_high"] == pytest.approx(record["high"])
    page = html.render(found, [])
    assert f"{record_of(found, 'confidence')['gap']:+.4f}".replace("-", "−") in page
    assert "What the predictions say besides" in page
    assert np.isfinite(table["top_5_mean"]).all()
