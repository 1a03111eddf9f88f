import dataclasses
import io
import json

import pyarrow
import pytest
from etils import epath
from pyarrow import parquet

from hybridlm.config.errors import ConfigError
from hybridlm.config.sources import AuditConfig, Source
from hybridlm.data import source_parquet, sources
from hybridlm.data.documents import Document, Dropped
from hybridlm.data.prepare import prepare
from hybridlm.data.progress import silent
from tests.data.conftest import corpus


def write(path, columns, **how):
    parquet.write_table(pyarrow.table(columns), path, **how)
    return path


def read(path, **audit):
    return list(sources.read(Source(path=str(path)), AuditConfig(**audit)))


def test_rows_mean_what_lines_of_json_mean(tmp_path):
    rows = [*corpus(50), {"text": "bare"}, {"text": "split", "split": "test", "language": "l", "id": "own"}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    names = ("text", "id", "group", "domain", "language", "split")
    write(tmp_path / "rows.parquet", {name: [row.get(name) for row in rows] for name in names}, row_group_size=70)
    from_lines = [
        document._replace(**{name: getattr(document, name).replace(".jsonl", ".parquet") for name in ("id", "group")})
        for document in read(tmp_path / "rows.jsonl")
    ]
    assert read(tmp_path / "rows.parquet") == from_lines
    assert len(rows) > 2 * source_parquet.ROWS, "more than one batch is read"


def test_the_text_column_alone_is_enough_and_shards_are_one_domain(tmp_path):
    for shard in ("prose-00000-of-00002", "prose-00001-of-00002"):
        write(tmp_path / f"{shard}.parquet", {"text": [shard], "score": [1.0]})
    first = "prose-00000-of-00002.parquet:1"
    assert read(tmp_path)[0] == Document(first, "prose-00000-of-00002", first, "prose")
    assert {document.domain for document in read(tmp_path)} == {"prose"}


def test_a_directory_may_mix_formats(tmp_path):
    write(tmp_path / "b.parquet", {"text": ["row"]})
    (tmp_path / "a.jsonl").write_text('{"text": "line"}')
    (tmp_path / "c.txt").write_text("file")
    assert [document.text for document in read(tmp_path)] == ["line", "row", "file"]
    assert [document.text for document in read(tmp_path / "*.parquet")] == ["row"]


@pytest.mark.parametrize("kind", ["string", "large_string", "string_view", "binary", "large_binary", "dictionary"])
def test_every_kind_of_text_column_is_read(tmp_path, kind):
    text = pyarrow.array(["naïve", "漢字", "naïve"])
    text = text.dictionary_encode() if kind == "dictionary" else text.cast(getattr(pyarrow, kind)())
    path = write(tmp_path / "kinds.parquet", {"text": text, "id": [7, 8, 9]})
    assert [(document.id, document.text) for document in read(path)] == [("7", "naïve"), ("8", "漢字"), ("9", "naïve")]


def test_nulls_and_blanks_are_counted_as_empty_and_bad_text_by_policy(tmp_path):
    # A string column may hold any bytes: nothing in the format checks them.
    text = pyarrow.array([b"kept", None, b" \n", b"caf\xe9", b"nul\0"]).view(pyarrow.string())
    path = write(tmp_path / "bad.parquet", {"text": text})
    dropped = [("2", "empty", 0), ("3", "empty", 2), ("4", "not UTF-8", 4), ("5", "holds NUL bytes", 4)]
    assert read(path)[1:] == [Dropped(f"bad.parquet:{row}", reason, size) for row, reason, size in dropped]
    with pytest.raises(ConfigError, match="bad.parquet:4: not UTF-8, and data.audit.not_utf8='fail' allows no such"):
        read(path, not_utf8="fail")


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        (
            {"content": ["x"], "id": [1]},
            "has no column 'text', only content (string), id (int64). Rename the column that holds the text to 'text'.",
        ),
        ({"text": [["a", "b"]]}, ": column 'text' is list<element: string>, not text. Write one string a row: join"),
        ({"text": [{"en": "a"}]}, ": column 'text' is struct<en: string>, not text. Write one string a row: join"),
        ({"text": [7]}, ": column 'text' is int64, not text. Write one string a row"),
        ({"text": ["x"], "group": [["g"]]}, ": column group is nested, and a name is one value a row. Flatten or drop"),
        ({"text": ["x"], "split": ["dev"]}, ":1: split 'dev' is not one of train, validation, test. Rename it, or"),
    ],
)
def test_a_table_that_is_no_corpus_is_refused_with_its_columns_and_the_fix(tmp_path, columns, problem):
    path = write(tmp_path / "odd.parquet", columns)
    with pytest.raises(ConfigError) as error:
        read(path)
    assert "odd.parquet" in str(error.value) and problem in str(error.value)


@pytest.mark.parametrize("kept", [9, -9])
def test_a_damaged_file_is_named(tmp_path, kept):
    path = write(tmp_path / "cut.parquet", {"text": ["x" * 99] * 99})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(OSError, match=r"cut.parquet cannot be read to its end \(.*\); copy or download it again"):
        read(path)


def test_the_first_document_needs_only_a_part_of_its_row_group(tmp_path, monkeypatch):
    path = write(tmp_path / "large.parquet", {"text": ["x" * 400] * 9_000}, compression="none", use_dictionary=False)
    sizes = []

    class Counted(io.FileIO):
        def read(self, *size):
            sizes.append(len(data := super().read(*size)))
            return data

    monkeypatch.setattr(type(epath.Path(path)), "open", lambda self, mode: Counted(str(self)))
    assert next(sources.read(Source(path=str(path)), AuditConfig())).text == "x" * 400
    assert sum(sizes) < path.stat().st_size / 1.5


def test_rows_become_prepared_data_and_their_contents_its_recipe(tmp_path, config):
    rows = corpus()
    path = write(tmp_path / "corpus.parquet", {name: [row[name] for row in rows] for name in rows[0]})
    own = dataclasses.replace(config, sources=(str(path),))
    lines = prepare(config, tmp_path / "lines", progress=silent).manifest
    manifest = prepare(own, tmp_path / "data", progress=silent).manifest
    assert manifest.fingerprint == lines.fingerprint
    write(path, {"text": ["other"]})
    with pytest.raises(ConfigError, match=r"sources\[0\] is '[0-9a-f]{64}' there and"):
        prepare(own, tmp_path / "data", progress=silent)
