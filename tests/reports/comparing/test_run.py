"""The laws of a comparison, on files that differ in known ways."""

import dataclasses
import shutil

import numpy as np
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.reports import comparison, token_writer
from hybridlm.reports.comparing import tables as comparison_tables
from hybridlm.reports.comparing.rows import Settings
from hybridlm.reports.comparing.run import compare

QUICK = Settings(draws=100, permutations=99)


def rows(found, model=None):
    return {(row.family, row.label): row for row in found.rows_of(model or found.models[0].name)}


@pytest.fixture(scope="module")
def record(token_files):
    return compare([str(token_files / name) for name in ("base", "model")], "", QUICK)[0]


def test_what_is_known_of_the_files_is_found(record):
    """Words gain 0.3 nats, nothing else gains: worked out from how the files were made."""
    found = rows(record)
    assert found["kind", "word"].gap == pytest.approx(0.3, abs=0.01) and found["kind", "word"].verdict == "differs"
    assert abs(found["kind", "digit"].gap) < 0.02 and found["kind", "digit"].low < 0 < found["kind", "digit"].high
    assert found["kind", "word"].share == pytest.approx(1, abs=0.05)
    assert found["all", "all"].gap == pytest.approx(found["all", "all"].baseline - found["all", "all"].mean)
    assert (record.unit, record.documents, record.clusters, record.left_out) == ("token", 36, 36, 36)
    assert record.baseline.checkpoint == "base" and record.models[0].checkpoint == "model"


def test_shares_and_counts_of_a_family_add_up(record):
    for family in ("kind", "domain"):
        labels = record.rows_of("model", family)
        assert sum(row.share for row in labels) == pytest.approx(1)
        assert sum(row.count for row in labels) == record.tokens
        total = sum(row.count * row.gap for row in labels)
        assert total == pytest.approx(record.tokens * rows(record)["all", "all"].gap)


def test_swapping_baseline_and_model_turns_signs(record, token_files):
    paths = [str(token_files / name) for name in ("base", "model")]
    swapped = rows(compare(paths, paths[1], QUICK)[0])
    for place_, row in rows(record).items():
        other = swapped[place_]
        assert (other.gap, other.low, other.high) == pytest.approx((-row.gap, -row.high, -row.low))
        assert (other.p, other.share, other.verdict) == (row.p, pytest.approx(row.share), row.verdict)


def test_permuted_rows_give_the_same_bytes(record, token_columns, token_files, tmp_path):
    header, columns, texts = token_columns(1, {"word": 0.3}, checkpoint="model")
    order = np.random.default_rng(3).permutation(len(columns["token"]))
    shuffled = {name: [list(values)[n] for n in order] for name, values in columns.items()}
    token_writer.write(tmp_path / "model" / "tokens.parquet", header, shuffled, dict(reversed(texts.items())))
    found = compare([str(token_files / "base"), str(tmp_path / "model")], "", QUICK)[0]
    same_path = [dataclasses.replace(entry, path="") for entry in found.readings]
    assert same_path == [dataclasses.replace(entry, path="") for entry in record.readings]
    assert comparison_tables.csv(found) == comparison_tables.csv(record)
    assert found.methods == record.methods and found.data == record.data


def test_a_constant_moves_every_gap_by_itself(record, token_columns, token_files, tmp_path):
    header, columns, texts = token_columns(1, {"word": 0.3})
    cheaper = [None if score is None else score + 0.25 for score in columns["score/ar"]]
    token_writer.write(tmp_path / "model.parquet", header, columns | {"score/ar": cheaper}, texts)
    moved = rows(compare([str(token_files / "base"), str(tmp_path / "model.parquet")], "", QUICK)[0])
    for place_, row in rows(record).items():
        assert moved[place_].gap == pytest.approx(row.gap - 0.25, abs=1e-6)
        assert moved[place_].error == pytest.approx(row.error, abs=1e-6)


def test_a_second_run_gives_the_same_bytes(record, token_files):
    again = compare([str(token_files / name) for name in ("base", "model")], "", QUICK)[0]
    assert comparison.dumps(again) == comparison.dumps(record)
    assert comparison_tables.csv(again) == comparison_tables.csv(record)


def test_a_model_is_the_same_as_its_copy(token_files, tmp_path):
    copy = shutil.copytree(token_files / "base", tmp_path / "copy")
    found = compare([str(token_files / "base"), str(copy)], "", QUICK)
    assert all((row.gap, row.p, row.verdict) == (0, 1, "equivalent") for row in found[0].rows if row.clusters > 1)


def test_a_filter_keeps_what_it_says(record, token_files):
    paths = [str(token_files / name) for name in ("base", "model")]
    found = compare(paths, "", dataclasses.replace(QUICK, filter="digit & domain=prose", families=("kind",)))[0]
    (whole,) = found.rows_of("model", "all")
    assert [row.label for row in found.rows_of("model", "kind")] == ["digit"]
    assert whole.count == found.tokens < rows(record)["kind", "digit"].count
    assert {row.family for row in found.rows} == {"all", "kind"}
    assert "Only tokens with digit & domain=prose were counted." in found.methods


def test_any_number_of_models_is_corrected_together(record, token_files):
    paths = [str(token_files / name) for name in ("base", "model", "again", "longer")]
    found = compare(paths, "", QUICK)[0]
    assert [entry.name for entry in found.models] == ["model", "again", "longer"]
    alone, together = rows(record)["kind", "word"], rows(found, "model")["kind", "word"]
    assert alone.gap == pytest.approx(together.gap)
    assert together.band_high - together.band_low > alone.band_high - alone.band_low


def test_a_pair_may_name_the_baseline_without_its_reading(token_files):
    base, model, again = (str(token_files / name) for name in ("base", "model", "again"))
    settings = dataclasses.replace(QUICK, seeds=((base, again),))
    assert rows(compare([f"{base}@ar", model], "", settings)[0])["kind", "word"].seeds_place == "outside"


def test_placebos_stand_beside_the_claim(compared):
    found, _ = compared
    word, digit = rows(found)["kind", "word"], rows(found)["kind", "digit"]
    assert word.seeds_place == "outside" and digit.seeds_place == "inside"
    assert word.seeds_low == pytest.approx(-word.seeds_high)
    assert word.placebo_place in ("inside", "outside", "undecided") and word.placebo_low is not None
    assert [entry.name for entry in found.readings] == ["base", "model"], "placebo files are no models"
    assert "seeds: only 1 placebo pair: the envelope assumes normal gaps" in found.notes


def test_the_regression_holds_other_things_fixed(record):
    (fit,) = record.regressions
    names_ = [c["name"] for c in fit["coefficients"]]
    assert {"log2 position", "unigram cost", "domain"} <= set(names_) and "kind" not in names_
    assert fit["tokens"] == record.tokens and fit["clusters"] == 36
    assert rows(record)["domain", "code"].adjusted is not None and rows(record)["kind", "word"].adjusted is None


def test_families_of_the_regression_can_be_chosen(token_files):
    paths = [str(token_files / name) for name in ("base", "model")]
    found = rows(compare(paths, "", dataclasses.replace(QUICK, adjust=("kind", "domain")))[0])
    assert found["kind", "word"].adjusted == pytest.approx(0.3, abs=0.02)
    assert found["kind", "digit"].adjusted == pytest.approx(0.0, abs=0.03)
    with pytest.raises(ConfigError, match="--adjust=knd is no family of these files; did you mean 'kind'?"):
        compare(paths, "", dataclasses.replace(QUICK, adjust=("knd",)))


def test_calibration_is_only_by_what_is_known_before(compared):
    found, _ = compared
    assert {(record["family"], record["label"]) for record in found.calibration} == {
        *(("all", "all"), ("domain", "prose"), ("domain", "code"))
    }
    whole = next(r for r in found.calibration if r["reading"] == "model" and r["family"] == "all")
    assert sum(whole["bins"]["count"]) == found.tokens and 0 <= whole["low"] <= whole["high"]


def test_the_gap_by_frequency_is_the_gap_of_all_in_parts(record):
    counts, gaps = ([bin_[name] for bin_ in record.frequency] for name in ("count", "value"))
    assert sum(counts) == record.tokens
    assert np.average(gaps, weights=counts) == pytest.approx(rows(record)["all", "all"].gap)


def test_across_tokenizers(token_columns, token_files, tmp_path):
    """The same costs under a tokenizer that joins two tokens of each document: no gap anywhere."""
    header, columns, texts = token_columns()
    columns = {name: list(values) for name, values in columns.items()}
    for n in reversed([n for n, place_ in enumerate(columns["position"]) if place_ == 0]):
        columns["byte_end"][n + 1] = columns["byte_end"][n + 2]
        columns["score/ar"][n + 1] += columns["score/ar"][n + 2]
        for values in columns.values():
            del values[n + 2]
    header = dataclasses.replace(header, tokenizer="words-2")
    token_writer.write(tmp_path / "joined.parquet", header, columns, texts)
    found = compare([str(token_files / "base"), str(tmp_path / "joined.parquet")], "", QUICK)[0]
    assert found.unit == "byte" and found.regressions == ()
    assert all(row.gap == pytest.approx(0, abs=1e-7) for row in found.rows)
    assert sum(row.count for row in found.rows if row.family == "kind") == found.bytes
    assert "different tokenizers: costs were added up over the finest segments" in found.methods


REFUSED = {
    "one file": (["base"], {}, "a comparison needs at least two token files"),
    "a column twice": (["base@ar", "model", "base@ar"], {}, "base@ar are the same reading, ar, of the same file"),
    "a column with itself, written in two ways": (
        ["base", "base@ar"],
        {},
        "base@ar are the same reading, ar, of the same file: their gap is zero on every token. Name another file, or "
        "as PATH@READING another reading of this one, which has ar (exact), unigram (exact).",
    ),
    "no reading": (["base", "model@arr"], {}, "has no reading 'arr'; did you mean 'ar'?"),
    "no file": (["base", "modle"], {}, "there is no token file"),
    "no family": (
        ["base", "model"],
        {"families": ("knd",)},
        "--families=knd is not in these files; did you mean 'kind'?",
    ),
    "no label": (
        ["base", "model"],
        {"filter": "wrd"},
        "the filter name 'wrd' is neither a label nor a preset; did you",
    ),
    "an empty filter": (
        ["base", "model"],
        {"filter": "word & digit"},
        "--filter='word & digit' lets no token through.",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_compared_is_refused(what, token_files):
    files, options, text = REFUSED[what]
    with pytest.raises(ConfigError) as refused:
        compare([str(token_files / file) for file in files], "", dataclasses.replace(QUICK, **options))
    assert text in str(refused.value)


def test_a_baseline_that_is_not_there_and_a_margin_that_is_none(token_files):
    paths = [str(token_files / name) for name in ("base", "model")]
    with pytest.raises(ConfigError, match="--baseline=other is none of the files to compare"):
        compare(paths, "other", QUICK)
    with pytest.raises(ConfigError, match="--margin=0.0 must be a positive number of nats"):
        Settings(margin=0.0)


def test_a_text_too_small_for_a_regression_is_compared_without(token_columns, tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        header, columns, texts = token_columns(seed)
        kept = [n for n, document in enumerate(columns["document"]) if document == "doc 00"][:4]
        few = {key: [list(values)[n] for n in kept] for key, values in columns.items()}
        token_writer.write(tmp_path / f"{name}.parquet", header, few, {"doc 00": texts["doc 00"]})
    found = compare([str(tmp_path / f"{name}.parquet") for name in "ab"], "", QUICK)[0]
    assert found.regressions == () and found.tokens == 3
    assert found.notes[0].startswith("no adjusted gaps of domain (2 labels): a regression on ")
    assert all(row.low is None and row.note == "one cluster: no interval" for row in found.rows)


def test_tokens_that_were_labelled_by_an_edited_function_are_told(token_columns, token_files, tmp_path):
    """Of the same labels in another order nothing is said."""
    header, columns, texts = token_columns(1, {"word": 0.3})
    kinds = {"labels": dict(reversed(header.families["kind"].labels.items()))}
    turned = dataclasses.replace(header.families["kind"], **kinds)
    header = dataclasses.replace(header, families=dict(header.families) | {"kind": turned})
    edited = ["word" if name == "digit" else name for name in columns["label/kind"]]
    token_writer.write(tmp_path / "same.parquet", header, columns, texts)
    token_writer.write(tmp_path / "edited.parquet", header, columns | {"label/kind": edited}, texts)
    paths = [str(path) for path in (token_files / "base", tmp_path / "same.parquet", tmp_path / "edited.parquet")]
    found = compare(paths, "", QUICK)[0]
    digits = rows(found, "same")["kind", "digit"].count
    (note,) = (note for note in found.notes if "otherwise" in note)
    assert note.startswith(f"edited labels tokens otherwise than base: {digits} of {found.tokens} in kind. A label ")
    assert rows(found, "edited")["kind", "digit"].count == digits, "the labels of the baseline are used"
