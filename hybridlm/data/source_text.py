"""Files of text, one document each, and files of JSON lines, one document a line; either may be compressed (.zst)."""

import contextlib
import io
import json
from collections.abc import Iterator

import pyarrow

from hybridlm.config.errors import ConfigError, require
from hybridlm.config.sources import AuditConfig
from hybridlm.data import records
from hybridlm.data.documents import Document, Dropped
from hybridlm.data.source_files import SourceFile

DOMAINS = {".py": "python", ".sql": "sql", ".yaml": "yaml_json", ".yml": "yaml_json", ".json": "yaml_json"}
"""Suffix of a text file -> its domain; any other suffix is "text"."""


def read(file: SourceFile, audit: AuditConfig) -> Iterator[Document | Dropped]:
    """The whole file as one document, its folder as the group."""
    folder, _, last = file.plain_name.rpartition("/")
    stem, dot, suffix = last.rpartition(".")
    with _opened(file) as stream:
        raw = stream.read()
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        yield records.left_out(Dropped(file.name, records.REASONS["not_utf8"], len(raw)), audit)
        return
    domain = file.language or DOMAINS.get(dot + suffix.lower(), "text")
    yield records.checked(Document(file.name, text, folder or stem or last, domain), audit)


def read_lines(file: SourceFile, audit: AuditConfig) -> Iterator[Document | Dropped]:
    """The document of every line; raises ConfigError where a line is no object with a text."""
    with _opened(file) as stream:
        for number, line in enumerate(stream, start=1):
            if line.isspace():
                continue
            place = f"{file.name}:{number}"
            try:
                yield records.document(_fields(line.decode(), file, number), place, file.domain, audit)
            except UnicodeDecodeError:
                yield records.left_out(Dropped(place, records.REASONS["not_utf8"], len(line)), audit)


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
