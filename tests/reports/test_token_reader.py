"""Reading: the order of rows means nothing, and each thing that cannot be meant is refused in a sentence."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.reports import token_reader, token_writer
from hybridlm.reports.token_file import texts_path


@pytest.fixture
def written(token_columns, tmp_path):
    """A function that writes the small file with some columns changed, and returns its path."""

    def make(kind="exact", **changed):
        header, columns, texts = token_columns(kind=kind)
        token_writer.write(tmp_path / "a.parquet", header, columns | changed, texts)
        return tmp_path / "a.parquet"

    return make


def changed(columns, name, row, value):
    return {name: [*columns[name][:row], value, *columns[name][row + 1 :]]}


def test_what_was_written_is_read(written, token_columns):
    _, columns, texts = token_columns()
    found = token_reader.read(written())
    assert len(found) == len(columns["token"])
    assert [found.documents[n] for n in found.document_T] == columns["document"]
    assert found.columns["token"].tolist() == [int(n) for n in columns["token"]]
    expected = [np.nan if value is None else value for value in columns["score/ar"]]
    np.testing.assert_array_equal(found.columns["score/ar"], np.array(expected, np.float32))
    assert [text.decode() for text in found.texts] == list(texts.values())
    names = list(found.header.families["kind"].labels)
    assert [names[code] for code in found.labels["label/kind"]] == columns["label/kind"]


def test_permuted_rows_read_the_same(written, tmp_path):
    first = token_reader.read(path := written())
    rows = pq.read_table(path)
    order = np.random.default_rng(0).permutation(len(rows))
    pq.write_table(rows.take(pa.array(order)), path, row_group_size=100)
    again = token_reader.read(path)
    assert again.fingerprint("ar") == first.fingerprint("ar")
    for name in ("document_T", "position_T", "byte_start_T", "byte_end_T", "group_D"):
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
    assert again.groups == first.groups
    np.testing.assert_array_equal(again.labels["label/kind"], first.labels["label/kind"])


def test_another_score_is_another_fingerprint(written, token_columns):
    first = token_reader.read(written()).fingerprint("ar")
    columns = token_columns()[1]
    assert token_reader.read(written(**changed(columns, "score/ar", 3, 9.0))).fingerprint("ar") != first


def test_only_what_is_asked_for_is_read(written):
    heard = []
    found = token_reader.read(written(), readings=["unigram"], families=["domain"], advance=heard.append)
    assert set(found.columns) == {"score/unigram", "token"} and set(found.labels) == {"label/domain"}
    assert sum(heard) == len(found) == token_reader.count(found.path)


REFUSED = {
    "a NaN": ("score/ar", 5, float("nan"), "row group 0 of", "column 'score/ar' holds 1 values that are not finite"),
    "an infinity": (
        "score/ar",
        5,
        float("inf"),
        "column 'score/ar' holds 1 values that are not finite; a token that was",
    ),
    "a negative NLL": (
        "score/ar",
        5,
        -0.7,
        "column 'score/ar' goes down to -0.7, but a score of kind 'exact' is -log p",
    ),
    "a log-probability": (
        "confidence/ar",
        5,
        1.5,
        "column 'confidence/ar' runs from",
        "but a confidence is a probability",
    ),
    "a token twice": ("position", 6, 5, "document 'doc 00', position 5", "stands twice; score each token once"),
    "an overlap": ("byte_start", 6, 1, "'doc 00', position 6, bytes 1 to", "begins before the token before it ends"),
    "a span beyond": (
        "byte_end",
        6,
        10_000,
        "bytes",
        "to 10000, is no span of its document's UTF-8; do the spans count",
    ),
    "a null label": ("label/kind", 6, None, "column 'label/kind' has 1 nulls, but every token has one"),
    "a new label": (
        "label/kind",
        6,
        "verb",
        "'verb' in column 'label/kind' is not known: the header has no such label",
    ),
    "a new document": ("document", 6, "doc 99", "'doc 99' in column 'document' is not known: its text is not in the"),
    "two groups": ("group", 6, "group 07", "document 'doc 00' lies in two groups; a document belongs to one"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_is_refused(what, written, token_columns):
    name, row, value, *texts = REFUSED[what]
    path = written(**changed(token_columns()[1], name, row, value))
    with pytest.raises(ConfigError) as refused:
        token_reader.read(path)
    assert all(text in str(refused.value) for text in texts), str(refused.value)


def test_parts_of_a_bound_may_be_negative(written, token_columns):
    path = written(kind="share", **changed(token_columns()[1], "score/ar", 5, -0.7))
    assert token_reader.read(path).columns["score/ar"][5] == np.float32(-0.7)


def test_rounding_of_a_certain_token_is_no_negative_score(written, token_columns):
    path = written(**changed(token_columns()[1], "score/ar", 5, -1e-7))
    assert token_reader.read(path).columns["score/ar"][5] < 0


def test_a_truncated_file_is_told(written):
    path = written()
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(
        ConfigError, match="a.parquet is no whole Parquet file .* was cut off while it was written or copied"
    ):
        token_reader.read(path)


def test_a_damaged_row_group_is_told(written):
    path = written()
    content = bytearray(path.read_bytes())
    content[4:2000] = bytes(1996)
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="row group 0 of .* cannot be read"):
        token_reader.read(path)


def test_a_missing_column_is_named(written):
    path = written()
    rows = pq.read_table(path)
    pq.write_table(rows.drop_columns(["byte_end"]), path)
    with pytest.raises(ConfigError, match=r"a.parquet: the columns \['byte_end'\] are missing"):
        token_reader.read(path)


def test_files_of_other_writers_may_have_plain_and_wide_columns(written):
    first = token_reader.read(path := written())
    rows = pq.read_table(path)
    wide = {pa.int32(): pa.int64(), pa.float32(): pa.float64()}
    fields = [
        field.with_type(pa.large_string() if pa.types.is_dictionary(field.type) else wide.get(field.type, field.type))
        for field in rows.schema
    ]
    pq.write_table(rows.cast(pa.schema(fields, metadata=rows.schema.metadata)), path)
    again = token_reader.read(path)
    assert again.fingerprint("ar") == first.fingerprint("ar")
    np.testing.assert_array_equal(again.labels["label/kind"], first.labels["label/kind"])
    np.testing.assert_array_equal(again.group_D, first.group_D)


def test_a_column_of_another_kind_is_refused(written):
    path = written()
    rows = pq.read_table(path)
    place = rows.schema.get_field_index("position")
    pq.write_table(rows.set_column(place, "position", rows["position"].cast(pa.string())), path)
    with pytest.raises(ConfigError, match="column 'position' must hold whole numbers, but holds text."):
        token_reader.read(path)


def test_texts_that_were_changed_are_told(written):
    path = written()
    texts = pq.read_table(texts_path(path)).to_pydict()
    texts["text"][0] += "!"
    pq.write_table(pa.table(texts), texts_path(path))
    with pytest.raises(ConfigError, match="was scored on the documents [0-9a-f]{64}, but a.documents.parquet holds"):
        token_reader.read(path)
    texts_path(path).unlink()
    with pytest.raises(ConfigError, match="has no texts beside it: a.documents.parquet must hold the columns"):
        token_reader.read(path)


def test_a_file_that_is_not_there_or_asks_for_too_much(written, tmp_path):
    with pytest.raises(ConfigError, match="there is no token file .*b.parquet; `hybridlm evaluate` writes one"):
        token_reader.read(tmp_path / "b.parquet")
    with pytest.raises(ConfigError, match="there is no reading 'arr' in this token file; did you mean 'ar'?"):
        token_reader.read(written(), readings=["arr"])
