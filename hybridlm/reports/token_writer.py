"""Writes token files row group by row group, so that a scoring that stops goes on where it stopped.

    with TokenWriter("runs/a/tokens.parquet", header) as writer:
        for columns, texts in itertools.islice(scored(), writer.groups, None):
            writer.write(columns, texts)

Each row group is first an Arrow file of its own under `<name>.parts/`, written as it lies in memory. Leaving the block
without an error joins them; the token file and its texts appear whole, or not at all.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from etils import epath

from hybridlm.config.errors import ConfigError, require
from hybridlm.data.directories import arriving
from hybridlm.reports import token_file
from hybridlm.reports.token_file import Header


def table(header: Header, columns: Mapping[str, Any]) -> pa.Table:
    """Columns as a table of the schema.

    A label may be its index or its name. A token that was not scored is None in a list, or masked in a masked array; a
    NaN stays one, for the reader to refuse.
    """
    schema = token_file.schema(header, columns)
    return pa.table([_column(header, field, columns[field.name]) for field in schema], schema=schema)


def _column(header: Header, field: pa.Field, values: Any) -> pa.Array:
    if field.type == token_file.LABEL and np.issubdtype(np.asarray(values).dtype, np.integer):
        labels = list(header.families[field.name.rpartition("/")[2]].labels)
        codes = pa.array(np.asarray(values), pa.int8(), mask=np.ma.getmaskarray(values))
        return pa.DictionaryArray.from_arrays(codes, labels)
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if isinstance(values, pa.DictionaryArray):
        return values.cast(field.type)
    try:
        if isinstance(values, np.ma.MaskedArray):
            array = pa.array(values.data, mask=np.ma.getmaskarray(values)).cast(kind)
        else:
            array = pa.array(values, from_pandas=False).cast(kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise ConfigError(f"column {field.name!r} must hold values of type {kind}: {error}") from error
    return array.dictionary_encode().cast(field.type) if pa.types.is_dictionary(field.type) else array


class TokenWriter:
    """Attributes:
    groups: row groups that are already safe; leave out as many of what is to be written.
    """

    def __init__(self, path: epath.PathLike, header: Header):
        self._path, self._header = epath.Path(path), header
        require(
            self._path.suffix == ".parquet",
            f"a token file ends in .parquet, but {self._path.name!r} does not.",
        )
        self._parts = self._path.with_name(f"{self._path.stem}.parts")
        self._parts.mkdir(parents=True, exist_ok=True)
        self.groups = 0
        while self._part(self.groups).exists():
            self.groups += 1
        if self.groups:
            self._check()

    def __enter__(self) -> "TokenWriter":
        return self

    def __exit__(self, kind, error, trace) -> None:
        if kind is None:
            self._join()

    def write(self, columns: Mapping[str, Any], texts: Mapping[str, str]) -> None:
        """One row group, and the texts of the documents that begin in it; safe on disk when this returns."""
        rows = table(self._header, columns)
        _keep(self._part(self.groups, "documents"), _texts(texts))
        _keep(self._part(self.groups), rows)  # last: its presence says that both are there
        self.groups += 1

    def _part(self, number: int, of: str = "tokens") -> epath.Path:
        return self._parts / f"{number:05d}.{of}.arrow"

    def _check(self) -> None:
        found = token_file.decode(_kept(self._part(0)).schema.metadata, self._part(0))
        require(
            found == self._header,
            f"{self._parts} holds row groups of an earlier, unfinished scoring with other readings, families or "
            "weights, which cannot be continued; remove the directory, or write elsewhere.",
        )

    def _join(self) -> None:
        require(self.groups > 0, f"{self._path} would have no tokens: nothing was written.")
        texts = {}
        for number in range(self.groups):
            part = _kept(self._part(number, "documents"))
            for name, text in zip(*(part[column].to_pylist() for column in ("document", "text"))):
                require(
                    texts.setdefault(name, text) == text,
                    f"document {name!r} was written twice, with two different texts.",
                )
        with arriving(token_file.texts_path(self._path)) as path, path.open("wb") as file:
            pq.write_table(_texts(texts), file, compression="zstd", row_group_size=max(1, len(texts)))
        self._join_groups(dataclasses.replace(self._header, data=token_file.data_hash(texts)))
        self._parts.rmtree()

    def _join_groups(self, header: Header) -> None:
        """Copies row group after row group, so that memory holds one at a time."""
        schema = _kept(self._part(0)).schema.with_metadata(token_file.encode(header))
        # numbers hardly repeat: to look for their like takes longer than all the rest, and saves nothing
        repeating = [field.name for field in schema if pa.types.is_dictionary(field.type)]
        with (
            arriving(self._path) as path,
            path.open("wb") as file,
            pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=repeating) as writer,
        ):
            for number in range(self.groups):
                rows = _kept(self._part(number))
                writer.write_table(rows.select(schema.names).cast(schema), row_group_size=max(1, len(rows)))


def write(path: epath.PathLike, header: Header, columns: Mapping[str, Any], texts: Mapping[str, str]) -> None:
    """Writes a small token file at once."""
    epath.Path(path).with_name(f"{epath.Path(path).stem}.parts").rmtree(missing_ok=True)
    with TokenWriter(path, header) as writer:
        writer.write(columns, texts)


def _texts(texts: Mapping[str, str]) -> pa.Table:
    return pa.table([list(texts), list(texts.values())], schema=token_file.TEXTS)


def _keep(path: epath.Path, rows: pa.Table) -> None:
    """Writes a part in one piece."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows)
    with arriving(path) as place:
        place.write_bytes(sink.getvalue().to_pybytes())


def _kept(path: epath.Path) -> pa.Table:
    return pa.ipc.open_file(path.read_bytes()).read_all()
