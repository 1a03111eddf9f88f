"""Writing: what goes in comes out, a stopped scoring goes on, and nothing half-written is ever called whole."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.reports import token_reader
from hybridlm.reports.token_file import Family, Header, Reading
from hybridlm.reports.token_writer import TokenWriter, table, write

HEADER = Header(
    readings={"ar": Reading()},
    families={"kind": Family(labels={"word": "", "digit": ""})},
    tokenizer="t",
    checkpoint="c",
    code="x",
)


def group(document: str, scores=(None, 1.5)):
    columns = {
        "document": [document, document],
        "group": ["g", "g"],
        "position": [0, 1],
        "byte_start": [0, 2],
        "byte_end": [2, 3],
        "score/ar": list(scores),
        "label/kind": ["word", "digit"],
    }
    return columns, {document: "ab7"}


def test_labels_may_be_indices_and_scores_masked():
    columns, _ = group("d")
    indices = columns | {
        "label/kind": np.array([0, 1]),
        "score/ar": np.ma.array([9.0, 1.5], mask=[True, False]),
        "position": np.array([0, 1], np.int64),
    }
    assert table(HEADER, indices).to_pydict() == table(HEADER, columns).to_pydict() == columns


def test_a_value_of_the_wrong_type_is_refused_by_column():
    with pytest.raises(ConfigError, match="column 'position' must hold values of type int32"):
        table(HEADER, group("d")[0] | {"position": ["first", "second"]})


def test_a_stopped_scoring_goes_on(tmp_path):
    path, groups = tmp_path / "tokens.parquet", [group(name) for name in ("a", "b", "c")]
    with pytest.raises(KeyboardInterrupt), TokenWriter(path, HEADER) as writer:
        for columns, texts in groups[:2]:
            writer.write(columns, texts)
        raise KeyboardInterrupt
    assert not path.exists()
    with TokenWriter(path, HEADER) as writer:
        assert writer.groups == 2
        for columns, texts in groups[writer.groups :]:
            writer.write(columns, texts)
    at_once = tmp_path / "other.parquet"
    with TokenWriter(at_once, HEADER) as writer:
        for columns, texts in groups:
            writer.write(columns, texts)
    assert path.read_bytes() == at_once.read_bytes()
    assert pq.ParquetFile(path).num_row_groups == 3
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        *("other.documents.parquet", "other.parquet", "tokens.documents.parquet", "tokens.parquet")
    ]


def test_another_scoring_is_not_continued(tmp_path):
    with pytest.raises(KeyboardInterrupt), TokenWriter(tmp_path / "a.parquet", HEADER) as writer:
        writer.write(*group("a"))
        raise KeyboardInterrupt
    other = Header(readings={"ar": Reading()}, families=HEADER.families, tokenizer="t", checkpoint="d", code="x")
    with pytest.raises(ConfigError, match="row groups of an earlier, unfinished scoring with other readings"):
        TokenWriter(tmp_path / "a.parquet", other)


def test_one_document_has_one_text(tmp_path):
    columns, _ = group("a")
    twice = pytest.raises(ConfigError, match="document 'a' was written twice, with two different texts")
    with twice, TokenWriter(tmp_path / "a.parquet", HEADER) as writer:
        writer.write(columns, {"a": "ab7"})
        writer.write(columns, {"a": "ab8"})


def test_nothing_is_no_file(tmp_path):
    empty = pytest.raises(ConfigError, match="would have no tokens: nothing was written")
    with empty, TokenWriter(tmp_path / "a.parquet", HEADER):
        pass
    with pytest.raises(ConfigError, match=r"a token file ends in .parquet, but 'a.csv' does not"):
        write(tmp_path / "a.csv", HEADER, *group("a"))


def test_the_data_hash_is_filled_in(tmp_path):
    write(tmp_path / "a.parquet", HEADER, *group("a"))
    assert token_reader.read_header(tmp_path / "a.parquet").data == token_reader.token_file.data_hash({"a": "ab7"})
