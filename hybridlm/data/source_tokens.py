"""Data that is tokens already: ids in files of .npy, .bin or .array_record, beside a tokens.json that explains them.

    {"tokenizer": "tokenizer.json", "dtype": "uint16", "end_of_document": 50256, "header_bytes": 0,
     "splits": {"train": ["train_*.bin"], "validation": ["val.bin"]}}

The ids are used as they are. Their text, which the tokenizer gives exactly, is what words, duplicates and overlap see.
"""

import dataclasses
import fnmatch
import json
from collections.abc import Iterator

import numpy as np
from array_record.python.array_record_module import ArrayRecordReader
from etils import epath
from jaxtyping import Integer

from hybridlm.config.errors import ConfigError, nearest, require
from hybridlm.config.sources import AuditConfig
from hybridlm.data import records, tokenizer_files
from hybridlm.data.directories import is_local
from hybridlm.data.documents import Document, Dropped
from hybridlm.data.tokenizer import Tokenizer

MARK = "tokens.json"
TOKENS_PER_SEARCH = 1 << 24
"""Ids searched at once for the ends of documents."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
    """What tokens.json says.

    Attributes:
      tokenizer: file, from the directory on, that gives the ids their bytes. splits: patterns of file names by split,
        or "" for documents that the hash of their name divides.
      dtype: of an id in .bin and .array_record. header_bytes: to skip at the start of every .bin.
      end_of_document: the id after which a document ends; None where every file, row of a 2-d .npy or record is one.
    """

    tokenizer: str
    splits: dict[str, list[str]]
    dtype: str = "uint16"
    header_bytes: int = 0
    end_of_document: int | None = None


def is_named(path: str) -> bool:
    """Whether the path is a directory of tokens."""
    return (epath.Path(path) / MARK).exists()


def tokenizer(path: str) -> Tokenizer:
    """The tokenizer that the tokens of a directory came with."""
    directory = epath.Path(path)
    return tokenizer_files.load(str(directory / _described(directory).tokenizer))


def read(directory: epath.Path, language: str, audit: AuditConfig) -> Iterator[Document | Dropped]:
    """Every document, split by split and file by file; its domain is `language` or the name of the directory."""
    description, coder = _described(directory), tokenizer(str(directory))
    documents_of = {".npy": _of_npy, ".bin": _of_bin, ".array_record": _of_records}
    for split, path in _files(directory, description):
        found = documents_of[path.suffix](path, description)
        for number, ids in enumerate(_without_end(found, description)):
            place = f"{path.name}:{number}"
            yield _document(ids, place, Document(place, "", place, language or directory.name, split), coder, audit)


def _document(ids, place: str, named: Document, coder: Tokenizer, audit: AuditConfig) -> Document | Dropped:
    ids = ids.astype(np.int64)
    special = (coder.pad, coder.bos, coder.eos, coder.mask)
    if len(ids) and ids[0] == coder.bos:
        ids = ids[1:]
    if ids.size and not (ids.min() >= 0 and ids.max() < coder.vocab_size and not np.isin(ids, special).any()):
        return records.left_out(Dropped(place, records.REASONS["unknown_ids"], ids.size), audit)
    raw = coder.to_bytes(ids.tolist())
    try:
        return records.checked(named._replace(text=raw.decode(), ids=ids.astype(np.int32)), audit)
    except UnicodeDecodeError:
        return records.left_out(Dropped(place, records.REASONS["not_utf8"], len(raw)), audit)


def _described(directory: epath.Path) -> Description:
    path = directory / MARK
    try:
        fields = json.loads(path.read_text())
        known = {field.name for field in dataclasses.fields(Description)}
        for name in fields:
            require(name in known, f"{path} has a field {name!r}, which means nothing{nearest(name, known)}")
        description = Description(**fields)
        np.dtype(description.dtype)
    except (json.JSONDecodeError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} cannot be understood ({error}); it is a JSON object with 'tokenizer' (a file), 'splits' (patterns "
            "of file names by split), 'dtype', and 'end_of_document' (an id, or null)."
        ) from error
    for split in description.splits:
        require(
            split in ("", *records.SPLITS),
            f"{path}: split {split!r} is none of {', '.join(records.SPLITS)}; rename it, or call it '' for the hash of "
            "documents to decide.",
        )
    return description


def _files(directory: epath.Path, description: Description) -> Iterator[tuple[str, epath.Path]]:
    names = sorted(path.name for path in directory.iterdir())
    for split, patterns in description.splits.items():
        for pattern in patterns:
            found = fnmatch.filter(names, pattern)
            require(
                len(found) > 0,
                f"{directory / MARK} names {pattern!r} for {split or 'its documents'}, and there is no such file in "
                f"{directory}, which holds {', '.join(names[:8])}. Correct the pattern, or copy the file.",
            )
            for name in found:
                path = directory / name
                require(
                    path.suffix in (".npy", ".bin", ".array_record"),
                    f"{path} is none of .npy, .bin and .array_record, the files that tokens may lie in.",
                )
                yield split, path


def _of_npy(path: epath.Path, description: Description) -> Iterator[Integer[np.ndarray, "T"]]:
    try:
        ids = np.load(path, mmap_mode="r" if is_local(path) else None, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise OSError(f"{path} cannot be read ({error}); copy it again.") from error
    require(
        ids.ndim in (1, 2) and np.issubdtype(ids.dtype, np.integer),
        f"{path} holds {ids.dtype} of shape {ids.shape}; tokens are whole numbers in one dimension, or in two with a "
        "document a row.",
    )
    for row in np.atleast_2d(ids):
        yield from _cut(row, description.end_of_document)


def _of_bin(path: epath.Path, description: Description) -> Iterator[Integer[np.ndarray, "T"]]:
    dtype, size = np.dtype(description.dtype).newbyteorder("<"), path.stat().length - description.header_bytes
    require(
        size >= 0 and size % dtype.itemsize == 0,
        f"{path} has {size} bytes after a header of {description.header_bytes}, no multiple of the {dtype.itemsize} of "
        f"one {description.dtype}: the file is cut short, or {MARK} names the wrong dtype or header_bytes.",
    )
    if size:
        yield from _cut(np.memmap(path, dtype, mode="r", offset=description.header_bytes), description.end_of_document)


def _of_records(path: epath.Path, description: Description) -> Iterator[Integer[np.ndarray, "T"]]:
    dtype = np.dtype(description.dtype).newbyteorder("<")
    try:
        reader = ArrayRecordReader(str(path))
        if not reader.ok():  # a file cut short counts as empty
            raise ValueError("its index is missing")
        for number in range(reader.num_records()):
            yield from _cut(np.frombuffer(reader.read([number])[0], dtype), description.end_of_document)
    except (RuntimeError, ValueError) as error:
        raise OSError(f"{path} cannot be read to its end ({error}); copy it again, or correct its dtype.") from error


def _cut(ids: Integer[np.ndarray, "T"], end: int | None) -> Iterator[Integer[np.ndarray, "T"]]:
    """The documents, each with the id that ends it; what follows the last end is one too."""
    begin = 0
    for first in range(0, len(ids) if end is not None else 0, TOKENS_PER_SEARCH):
        for place in np.flatnonzero(ids[first : first + TOKENS_PER_SEARCH] == end).tolist():
            yield ids[begin : first + place + 1]
            begin = first + place + 1
    if begin < len(ids):
        yield ids[begin:]


def _without_end(found: Iterator[np.ndarray], description: Description) -> Iterator[Integer[np.ndarray, "T"]]:
    end = description.end_of_document
    return (np.asarray(ids[:-1] if end is not None and len(ids) and ids[-1] == end else ids) for ids in found)
