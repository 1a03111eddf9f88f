"""Documents out of files: plain text, JSON lines, either also as .zst, and whole directories or globs of them.

A source yields `Document`s and `Dropped`s in an order that never changes. Whatever else can do that can be a source.
"""

import contextlib
import dataclasses
import hashlib
import io
import json
import pathlib
from collections.abc import Iterator

import pyarrow
from etils import epath

from hybridlm.config.errors import ConfigError, require
from hybridlm.data import embedded
from hybridlm.data.directories import is_local
from hybridlm.data.documents import Document, Dropped

DOMAINS = {".py": "python", ".sql": "sql", ".yaml": "yaml_json", ".yml": "yaml_json", ".json": "yaml_json"}
"""Suffix of a text file -> its domain; any other suffix is "text"."""

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class SourceFile:
    """A file, and its name relative to the source it was found in: moving a corpus changes no name."""

    path: epath.Path
    name: str

    @property
    def plain_name(self) -> str:
        """The name without `.zst`."""
        return self.name.removesuffix(".zst")


def read(source: str, on_bad_text: str) -> Iterator[Document | Dropped]:
    """All documents of a source; `on_bad_text` says whether text that is not UTF-8 is dropped or an error."""
    if source == embedded.NAME:
        yield from embedded.read()
        return
    for file in files(source):
        try:
            yield from (_json_lines if file.plain_name.endswith(".jsonl") else _text)(file, on_bad_text)
        except OSError as error:
            raise OSError(f"{file.path} cannot be read to its end ({error}); copy or download it again.") from error


def exists(source: str) -> bool:
    """Whether the source names any file."""
    return source == embedded.NAME or len(_found(source)) > 0


def digest(source: str) -> str:
    """SHA-256 over the names and contents of a source's files."""
    found = embedded.files() if source == embedded.NAME else [(file.name, file.path) for file in files(source)]
    total = hashlib.sha256()
    for name, path in found:
        with epath.Path(path).open("rb") as stream:
            total.update(f"{name}\0{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def files(source: str) -> list[SourceFile]:
    """The files of a path, directory (recursively, hidden ones left out) or glob, by name."""
    found = _found(source)
    require(
        len(found) > 0,
        f"the source {source!r} names no file: a source is a file, a directory, a glob, or {embedded.NAME!r}. "
        "Check the spelling; a relative path starts at the current directory.",
    )
    return sorted(found, key=lambda file: file.name)


def _found(source: str) -> list[SourceFile]:
    base, pattern = _split_glob(source)
    # Only a local path can search below directories with `**`.
    roots = (pathlib.Path(base) if is_local(base) else base).glob(pattern) if pattern else [base]
    return [file for root in map(epath.Path, roots) for file in _below(root, base if pattern else root)]


def _split_glob(source: str) -> tuple[epath.Path, str]:
    parts = source.split("/")
    plain = next((n for n, part in enumerate(parts) if set(part) & set("*?[")), len(parts))
    return epath.Path("/".join(parts[:plain]) or ("/" if source.startswith("/") else ".")), "/".join(parts[plain:])


def _below(root: epath.Path, base: epath.Path) -> list[SourceFile]:
    if not root.is_dir():
        return [SourceFile(root, _relative(root, base) if root != base else root.name)] if root.exists() else []
    paths = (epath.Path(folder) / name for folder, _, names in root.walk() for name in names)
    named = [SourceFile(path, _relative(path, base)) for path in paths]
    return [file for file in named if not any(part.startswith(".") for part in file.name.split("/"))]


def _relative(path: epath.Path, base: epath.Path) -> str:
    return path.relative_to(base).as_posix()


def _text(file: SourceFile, on_bad_text: str) -> Iterator[Document | Dropped]:
    folder, _, last = file.plain_name.rpartition("/")
    stem, dot, suffix = last.rpartition(".")
    with _opened(file) as stream:
        raw = stream.read()
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        yield _bad_text(Dropped(file.name, "not UTF-8", len(raw)), on_bad_text)
        return
    domain = DOMAINS.get(dot + suffix.lower(), "text")
    yield checked(Document(file.name, text, folder or stem or last, domain), on_bad_text)


def _json_lines(file: SourceFile, on_bad_text: str) -> Iterator[Document | Dropped]:
    with _opened(file) as stream:
        for number, line in enumerate(stream, start=1):
            if line.isspace():
                continue
            try:
                yield checked(_document(line.decode(), file, number), on_bad_text)
            except UnicodeDecodeError:
                yield _bad_text(Dropped(f"{file.name}:{number}", "not UTF-8", len(line)), on_bad_text)


def _document(line: str, file: SourceFile, number: int) -> Document:
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
    split = str(fields.get("split") or "")
    demand(split in ("", *SPLITS), f"split {split!r} is not one of {', '.join(SPLITS)}")
    name = str(fields.get("id") or f"{file.name}:{number}")
    stem = file.plain_name.rpartition("/")[2].removesuffix(".jsonl")
    domain = fields.get("domain") or fields.get("language") or stem
    return Document(name, fields["text"], str(fields.get("group") or name), str(domain), split)


def checked(document: Document, on_bad_text: str) -> Document | Dropped:
    """The document itself, unless its text is empty or binary, or text or names cannot be written as UTF-8."""
    if not document.text or document.text.isspace():
        return Dropped(document.id, "empty", len(document.text))
    try:
        size = document.bytes
        (document.id + document.group + document.domain).encode()
    except UnicodeEncodeError:
        return _bad_text(Dropped(document.id, "not UTF-8", len(document.text)), on_bad_text)
    if "\0" in document.text:
        return _bad_text(Dropped(document.id, "holds NUL bytes", size), on_bad_text)
    return document


def _bad_text(dropped: Dropped, on_bad_text: str) -> Dropped:
    require(
        on_bad_text == "drop",
        f"{dropped.id}: {dropped.reason}, and data.on_bad_text='fail' allows no such document. Convert it to UTF-8, "
        "remove it, or set data.on_bad_text='drop' to count it and go on.",
    )
    return dropped


@contextlib.contextmanager
def _opened(file: SourceFile) -> Iterator[io.IOBase]:
    with file.path.open("rb") as stream:
        if not file.name.endswith(".zst"):
            yield stream
            return
        with pyarrow.CompressedInputStream(stream, "zstd") as plain:
            yield io.BufferedReader(plain, 1 << 20)
