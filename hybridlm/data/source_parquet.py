"""Rows of a Parquet file, read in short runs, so that neither the file nor a row group has to fit into memory.

Text arrives as bytes: Parquet does not promise that a string column is UTF-8, and such a row is to be dropped by name.
"""

from collections.abc import Iterator

import pyarrow
from pyarrow import parquet, types

from hybridlm.config.errors import require
from hybridlm.config.sources import AuditConfig
from hybridlm.data import records
from hybridlm.data.documents import Document, Dropped
from hybridlm.data.source_files import SourceFile

ROWS = 64
"""Rows held at once."""

READ_BYTES = 1 << 20
"""Read from a column at a time; the library would otherwise fetch whole row groups ahead."""


def read(file: SourceFile, audit: AuditConfig) -> Iterator[Document | Dropped]:
    """The document of every row; raises ConfigError if there is no column of text."""
    with (
        file.path.open("rb") as stream,
        parquet.ParquetFile(stream, buffer_size=READ_BYTES, pre_buffer=False) as table,
    ):
        batches = table.iter_batches(ROWS, columns=_columns(table.schema_arrow, file))
        rows = (fields for batch in batches for fields in _with_bytes(batch).to_pylist())
        for number, fields in enumerate(rows, start=1):
            yield records.document(fields, f"{file.name}:{number}", file.domain, audit)


def _columns(schema: pyarrow.Schema, file: SourceFile) -> list[str]:
    there = {field.name: field.type for field in schema}
    listed = ", ".join(f"{name} ({kind})" for name, kind in there.items())
    require(
        "text" in there,
        f"{file.path} has no column 'text', only {listed}. Rename the column that holds the text to 'text'.",
    )
    require(
        _is_text(there["text"]),
        f"{file.path}: column 'text' is {there['text']}, not text. Write one string a row: join lists, take the field "
        "of a struct that holds the text.",
    )
    chosen = [name for name in records.FIELDS if name in there]
    nested = [name for name in chosen if types.is_nested(there[name])]
    require(
        not nested,
        f"{file.path}: column {', '.join(nested)} is nested, and a name is one value a row. Flatten or drop it.",
    )
    return chosen


def _is_text(kind: pyarrow.DataType) -> bool:
    plain = kind.value_type if types.is_dictionary(kind) else kind
    # string, large_string, string_view, binary, large_binary, binary_view
    return str(plain).removesuffix("_view").removeprefix("large_") in ("string", "binary")


def _with_bytes(batch: pyarrow.RecordBatch) -> pyarrow.RecordBatch:
    columns = [column.cast(pyarrow.large_binary()) if _is_text(column.type) else column for column in batch.columns]
    return pyarrow.RecordBatch.from_arrays(columns, names=batch.schema.names)
