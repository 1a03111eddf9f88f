"""Documents out of files (text, JSON lines, Parquet), directories and globs of them, and datasets of TFDS.

A source yields `Document`s and `Dropped`s in an order that never changes. Whatever else can do that can be a source.
"""

import contextlib
import hashlib
import io
import json
import pathlib
from collections.abc import Callable, Iterator

import pyarrow
from etils import epath

from hybridlm.config.errors import ConfigError, require
from hybridlm.data import embedded, records, source_files, source_parquet, source_tfds
from hybridlm.data.documents import Document, Dropped
from hybridlm.data.source_files import SourceFile

DOMAINS = {".py": "python", ".sql": "sql", ".yaml": "yaml_json", ".yml": "yaml_json", ".json": "yaml_json"}
"""Suffix of a text file -> its domain; any other suffix is "text"."""


def read(source: str, on_bad_text: str) -> Iterator[Document | Dropped]:
    """All documents of a source; `on_bad_text` says whether text that is not UTF-8 is dropped or an error."""
    if source == embedded.NAME:
        yield from embedded.read()
    elif source_tfds.is_named(source):
        yield from source_tfds.read(source, on_bad_text)
    else:
        for file in _plain_files(source):
            yield from _file(file, on_bad_text)


def exists(source: str) -> bool:
    """Whether the source names any file."""
    return source == embedded.NAME or len(source_files.found(source_tfds.located(source))) > 0


def digest(source: str) -> str:
    """SHA-256 over the names and contents of a source's files."""
    total = hashlib.sha256()
    for name, path in _named(source):
        with epath.Path(path).open("rb") as stream:
            total.update(f"{name}\0{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def _named(source: str) -> list[tuple[str, pathlib.Path | epath.Path]]:
    if source == embedded.NAME:
        return embedded.files()
    return [(file.name, file.path) for file in source_files.files(source_tfds.located(source))]


def _plain_files(source: str) -> list[SourceFile]:
    """Its files, if none of them belongs to a dataset of TFDS: as files these would be noise."""
    files = source_files.files(source)
    marked = [file.path.parent for file in files if file.path.name == source_tfds.MARKS[0]]
    datasets = [str(directory) for directory in marked if source_tfds.is_dataset(directory)]
    require(
        not datasets,
        f"the source {source!r} holds datasets of TFDS among its files. Name each as a source of its own: "
        f"{', '.join(datasets)}.",
    )
    return files


def _file(file: SourceFile, on_bad_text: str) -> Iterator[Document | Dropped]:
    try:
        yield from _reader(file)(file, on_bad_text)
    except (OSError, pyarrow.ArrowException) as error:
        raise OSError(f"{file.path} cannot be read to its end ({error}); copy or download it again.") from error


def _reader(file: SourceFile) -> Callable[[SourceFile, str], Iterator[Document | Dropped]]:
    if file.name.endswith(".parquet"):
        return source_parquet.read
    return _json_lines if file.plain_name.endswith(".jsonl") else _text


def _text(file: SourceFile, on_bad_text: str) -> Iterator[Document | Dropped]:
    folder, _, last = file.plain_name.rpartition("/")
    stem, dot, suffix = last.rpartition(".")
    with _opened(file) as stream:
        raw = stream.read()
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        yield records.bad_text(Dropped(file.name, "not UTF-8", len(raw)), on_bad_text)
        return
    domain = DOMAINS.get(dot + suffix.lower(), "text")
    yield records.checked(Document(file.name, text, folder or stem or last, domain), on_bad_text)


def _json_lines(file: SourceFile, on_bad_text: str) -> Iterator[Document | Dropped]:
    with _opened(file) as stream:
        for number, line in enumerate(stream, start=1):
            if line.isspace():
                continue
            place = f"{file.name}:{number}"
            try:
                yield records.document(_fields(line.decode(), file, number), place, file.domain, on_bad_text)
            except UnicodeDecodeError:
                yield records.bad_text(Dropped(place, "not UTF-8", len(line)), on_bad_text)


def _fields(line: str, file: SourceFile, number: int) -> dict[str, object]:
    def demand(is_met: bool, problem: str) -> None:
        rule = "each line of a .jsonl file is one JSON object with a string 'text'"
        require(is_met, f"{file.path}, line {number}: {problem}; {rule}. Repair or remove the line.")

    try:
        fields = json.loads(line)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{file.path}, line {number}: not valid JSON ({error}); each line of a .jsonl file is one JSON object with "
            "a string 'text'. Repair or remove the line."
        ) from error
    demand(isinstance(fields, dict), f"a JSON {type(fields).__name__}, not an object")
    demand(isinstance(fields.get("text"), str), f"no string 'text' among the fields {sorted(fields)}")
    return fields


@contextlib.contextmanager
def _opened(file: SourceFile) -> Iterator[io.IOBase]:
    with file.path.open("rb") as stream:
        if not file.name.endswith(".zst"):
            yield stream
            return
        with pyarrow.CompressedInputStream(stream, "zstd") as plain:
            yield io.BufferedReader(plain, 1 << 20)
