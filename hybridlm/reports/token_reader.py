"""Reads token files, and refuses what cannot be meant: what is no such file, or is not of the documents beside it."""

from collections.abc import Callable, Collection

import pyarrow as pa
import pyarrow.parquet as pq
from etils import epath

from hybridlm.config.errors import ConfigError, nearest, require
from hybridlm.reports import token_file
from hybridlm.reports.token_arrays import read_columns
from hybridlm.reports.token_file import VALUES, Header
from hybridlm.reports.tokens import Tokens, in_order


def read_header(path: epath.PathLike) -> Header:
    """What a token file says of itself; raises where its columns are others. No row is read."""
    path = epath.Path(path)
    with path.open("rb") as file:
        found = _open(file, path).schema_arrow
    header = token_file.decode(found.metadata, path)
    _check_schema(header, found, path)
    return header


def count(path: epath.PathLike) -> int:
    """How many rows a token file has."""
    with epath.Path(path).open("rb") as file:
        return _open(file, path).metadata.num_rows


def tokens_by_document(path: epath.PathLike) -> dict[str, int]:
    """How many tokens each document has in a token file, of which no other column is read."""
    with epath.Path(path).open("rb") as file:
        ids = _open(file, path).read(columns=["document"])["document"].cast(pa.string())
    return {found["values"]: found["counts"] for found in ids.value_counts().to_pylist()}


def read(
    path: epath.PathLike,
    *,
    readings: Collection[str] | None = None,
    families: Collection[str] | None = None,
    advance: Callable[[int], None] = lambda tokens: None,
) -> Tokens:
    """Reads and checks a token file: of its readings and families those named, or all.

    `advance` hears of every row group how many tokens it had.
    """
    path = epath.Path(path)
    require(
        path.exists(), f"there is no token file {path}; `hybridlm evaluate` writes one, or see docs/token-scores.md."
    )
    texts = read_texts(path)
    with path.open("rb") as file:
        whole = _open(file, path)
        header = token_file.decode(whole.schema_arrow.metadata, path)
        found = token_file.data_hash(texts)
        require(
            found == header.data,
            f"{path} was scored on the documents {header.data}, but {token_file.texts_path(path).name} holds {found}; "
            "it belongs to another scoring, or was changed.",
        )
        _check_schema(header, whole.schema_arrow, path)
        names = _wanted(header, whole.schema_arrow.names, readings, families)
        number_of = {name: n for n, name in enumerate(sorted(texts))}
        arrays = read_columns(whole, names, header, number_of, path, advance)
    return in_order(path, header, texts, arrays)


def _check_schema(header: Header, found: pa.Schema, path: epath.Path) -> None:
    """Raises where columns are missing, unknown or of another kind; the width of a number does not matter."""
    try:
        wanted = token_file.schema(header, found.names)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    for field in wanted:
        kinds = [_kind(schema.field(field.name).type) for schema in (wanted, found)]
        require(kinds[0] == kinds[1], f"{path}: column {field.name!r} must hold {kinds[0]}, but holds {kinds[1]}.")


def _kind(column: pa.DataType) -> str:
    column = column.value_type if pa.types.is_dictionary(column) else column
    known = {"text": pa.types.is_string, "whole numbers": pa.types.is_integer, "numbers": pa.types.is_floating}
    known |= {"text ": pa.types.is_large_string, "truth values": pa.types.is_boolean}
    return next((name.strip() for name, is_it in known.items() if is_it(column)), str(column))


def _open(file, path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file)
    except pa.ArrowInvalid as error:
        raise ConfigError(
            f"{path} is no whole Parquet file ({error}): it is something else, or was cut off while it was written or "
            "copied; copy or write it again."
        ) from error


def read_texts(path: epath.Path) -> dict[str, str]:
    """The texts that lie beside a token file, by document."""
    beside = token_file.texts_path(path)
    require(
        beside.exists(),
        f"{path} has no texts beside it: {beside.name} must hold the columns document and text, or nobody could tell "
        "whether two files score the same text.",
    )
    with beside.open("rb") as file:
        table = _open(file, beside).read()
    require(
        set(token_file.TEXTS.names) <= set(table.schema.names),
        f"{beside} must hold the columns document and text, but has {table.schema.names}.",
    )
    return dict(zip(table["document"].to_pylist(), table["text"].to_pylist()))


def _wanted(header, present, readings, families) -> list[str]:
    """The columns to read."""

    def is_wanted(name):
        what, *names = name.split("/")
        if what in VALUES:
            return readings is None or names[0] in readings
        if what in ("label", "likeliest"):
            return (families is None or names[-1] in families) and (
                what == "label" or readings is None or names[0] in readings
            )
        return True

    for asked, known, what in ((readings, header.readings, "reading"), (families, header.families, "family")):
        for name in asked or ():
            require(name in known, f"there is no {what} {name!r} in this token file{nearest(name, known)}")
    return [name for name in present if is_wanted(name)]
