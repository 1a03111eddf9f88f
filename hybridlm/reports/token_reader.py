"""Reads token files as arrays in one canonical order, by document id and position, and refuses what cannot be meant.

Every row group is checked as it is read; rows may stand in any order, and the same rows give the same arrays.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Collection, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from etils import epath
from jaxtyping import Int

from hybridlm.config.errors import ConfigError, nearest, require
from hybridlm.reports import token_file
from hybridlm.reports.token_checks import check_places, check_values
from hybridlm.reports.token_file import FACTS, PLACES, VALUES, Header


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Tokens:
    """Attributes:
    documents, texts: ids in rising order, and their UTF-8. groups: names in rising order; group_D: of each document.
    document_T, position_T, byte_start_T, byte_end_T: places, sorted by document and position.
    columns: optional columns by their name; a score that is missing is NaN, a rank or id -1.
    labels: the codes of `label/...` and `likeliest/...` columns by their name, in the order of the header's labels.
    """

    path: str
    header: Header
    documents: tuple[str, ...]
    texts: tuple[bytes, ...]
    groups: tuple[str, ...]
    group_D: Int[np.ndarray, "D"]
    document_T: Int[np.ndarray, "T"]
    position_T: Int[np.ndarray, "T"]
    byte_start_T: Int[np.ndarray, "T"]
    byte_end_T: Int[np.ndarray, "T"]
    columns: Mapping[str, np.ndarray]
    labels: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.document_T)

    @functools.cached_property
    def begin_D(self) -> Int[np.ndarray, "D"]:
        """Where each document begins when all are laid in a row, each with one place behind it for its end."""
        return np.cumsum([0, *(len(text) + 1 for text in self.texts)], dtype=np.int64)[:-1]

    def fingerprint(self, reading: str) -> str:
        """SHA-256 of places and scores, whatever the order of the rows and the width of the numbers in the file."""
        digest = hashlib.sha256(self.header.data.encode())
        for array in (self.document_T, self.position_T, self.byte_start_T, self.byte_end_T):
            digest.update(array.astype(np.int64).tobytes())
        digest.update(self.columns[f"score/{reading}"].astype(np.float64).tobytes())
        return digest.hexdigest()


def read_header(path: epath.PathLike) -> Header:
    """What a token file says of itself, without reading its rows."""
    with epath.Path(path).open("rb") as file:
        return token_file.decode(_open(file, path).schema_arrow.metadata, path)


def count(path: epath.PathLike) -> int:
    """How many rows a token file has."""
    with epath.Path(path).open("rb") as file:
        return _open(file, path).metadata.num_rows


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
    texts = _read_texts(path)
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
        arrays = _read_groups(whole, names, header, {name: n for n, name in enumerate(sorted(texts))}, path, advance)
    return _tokens(path, header, texts, arrays)


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


def _read_texts(path: epath.Path) -> dict[str, str]:
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


def _read_groups(whole, names, header, number_of, path, advance) -> dict[str, np.ndarray]:
    """All columns as arrays, filled row group by row group."""
    arrays, done = {}, 0
    group_of = {}
    for number in range(whole.num_row_groups):
        try:
            rows = whole.read_row_group(number, columns=names)
        except (pa.ArrowInvalid, OSError) as error:
            raise ConfigError(
                f"row group {number} of {path} cannot be read ({error}); copy or write the file again."
            ) from error
        for name in names:
            codes = {"document": number_of, "group": group_of}.get(name)
            array = _array(rows[name], name, header, codes, f"row group {number} of {path}")
            if name not in arrays:
                arrays[name] = np.empty(whole.metadata.num_rows, array.dtype)
            arrays[name][done : done + len(array)] = array
        done += len(rows)
        advance(len(rows))
    require(done > 0, f"{path} holds no tokens.")
    rank = _ranks(list(group_of))
    return arrays | {"group": rank[arrays["group"]].astype(np.int32), "groups": np.array(sorted(group_of), object)}


def _ranks(names: list[str]) -> np.ndarray:
    """The place of each name in rising order."""
    ranks = np.empty(len(names), np.int64)
    ranks[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    return ranks


def _array(column: pa.ChunkedArray, name: str, header: Header, codes: dict[str, int] | None, where: str) -> np.ndarray:
    """A checked numpy array of one column of one row group."""
    what, *names = name.split("/")
    require(
        column.null_count == 0 or (what in VALUES or what in FACTS or what == "likeliest"),
        f"{where}: column {name!r} has {column.null_count} nulls, but every token has one; null is for scores alone.",
    )
    if codes is not None or what in ("label", "likeliest"):
        known = codes if codes is not None else {label: n for n, label in enumerate(header.families[names[-1]].labels)}
        return _codes(column, name, known, where)
    array = column.combine_chunks()
    values = array.fill_null(False if pa.types.is_boolean(array.type) else -1 if pa.types.is_integer(array.type) else 0)
    values = values.to_numpy(zero_copy_only=False)
    is_null = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else np.zeros(len(values), bool)
    if what in VALUES:
        check_values(values[~is_null], name, header.readings[names[0]].kind, where)
    if pa.types.is_floating(array.type) and is_null.any():
        values = np.where(is_null, np.array(np.nan, values.dtype), values)
    return values


def _codes(column: pa.ChunkedArray, name: str, known: dict[str, int], where: str) -> np.ndarray:
    """The number of each value; groups are numbered as they come, documents and labels must be known."""
    encoded = column.combine_chunks()
    encoded = encoded if pa.types.is_dictionary(encoded.type) else encoded.dictionary_encode()
    values = encoded.dictionary.to_pylist()
    if name == "group":
        for value in values:
            known.setdefault(value, len(known))
    for value in values:
        require(
            value in known,
            f"{where}: {value!r} in column {name!r} is not known: "
            + ("its text is not in the table of documents." if name == "document" else "the header has no such label."),
        )
    numbers = np.array(
        [*(known[value] for value in values), -1], np.int8 if name.startswith(("label", "like")) else np.int32
    )
    return numbers[encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)]


def _tokens(path, header, texts, arrays) -> Tokens:
    """Sorts and checks whole documents."""
    document_T, position_T = arrays["document"], arrays["position"]
    step = np.diff(document_T.astype(np.int64) << 32 | position_T)
    if (step <= 0).any():
        order = np.lexsort((position_T, document_T))
        arrays = {name: array if name == "groups" else array[order] for name, array in arrays.items()}
    names = sorted(texts)
    encoded = tuple(texts[name].encode() for name in names)
    check_places(path, arrays, names, np.array([len(text) for text in encoded]))
    group_D = np.full(len(names), -1, np.int32)
    group_D[arrays["document"]] = arrays["group"]
    mixed = np.flatnonzero(group_D[arrays["document"]] != arrays["group"])
    require(
        not mixed.size,
        f"{path}: document {names[arrays['document'][mixed[0]]] if mixed.size else ''!r} lies in two groups; a "
        "document belongs to one, or clusters would not be independent.",
    )
    coded = [name for name in arrays if name.startswith(("label/", "likeliest/"))]
    rest = [name for name in arrays if name not in (*PLACES, *coded, "groups")]
    return Tokens(
        path=str(path),
        header=header,
        documents=tuple(names),
        texts=encoded,
        groups=tuple(arrays["groups"].tolist()),
        group_D=group_D,
        columns={name: arrays[name] for name in rest},
        labels={name: arrays[name] for name in coded},
        **{f"{name}_T": arrays[name] for name in ("document", "position", "byte_start", "byte_end")},
    )
