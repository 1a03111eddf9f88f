"""The columns of a token file as checked numpy arrays, read row group by row group."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from etils import epath

from hybridlm.config.errors import ConfigError, require
from hybridlm.reports.token_checks import check_values
from hybridlm.reports.token_file import FACTS, VALUES, Header


def read_columns(
    whole: pq.ParquetFile,
    names: Sequence[str],
    header: Header,
    number_of: Mapping[str, int],
    path: epath.PathLike,
    advance: Callable[[int], None],
) -> dict[str, np.ndarray]:
    """The named columns, and as `groups` the names of groups in rising order; `number_of`: document -> its number."""
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
