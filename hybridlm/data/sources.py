"""Documents of every kind of source: files, directories and globs of them, tokens, datasets of TFDS and seqio.

A source yields `Document`s and `Dropped`s in an order that never changes. Whatever else can do that can be a source.
"""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Callable, Iterator

import pyarrow
from etils import epath

from hybridlm.config.errors import require
from hybridlm.config.sources import AuditConfig, Source
from hybridlm.data import embedded, source_files, source_parquet, source_seqio, source_text, source_tfds, source_tokens
from hybridlm.data.directories import once
from hybridlm.data.documents import Document, Dropped
from hybridlm.data.progress import Progress
from hybridlm.data.source_files import SourceFile
from hybridlm.data.tokenizer import Tokenizer


def read(source: Source, audit: AuditConfig) -> Iterator[Document | Dropped]:
    """All documents of a source; `audit` says which are left out and which are an error."""
    if source.path == embedded.NAME:
        yield from embedded.read()
    elif source_seqio.is_spool(source.path):
        yield from source_seqio.read(source.path, source.language, audit)
    elif source_tfds.is_named(source.path):
        yield from source_tfds.read(source.path, source.language, audit)
    elif source_tokens.is_named(source.path):
        yield from source_tokens.read(epath.Path(source.path), source.language, audit)
    else:
        for file in _plain_files(source.path):
            yield from _file(dataclasses.replace(file, language=source.language), audit)


def at_hand(source: Source, place: epath.Path, progress: Progress) -> Source:
    """The source, its examples written down at `place` if a program makes them: they are read more than once."""
    if not source_seqio.is_named(source.path):
        return source
    with progress(f"running {source.path}", None):
        once(place, functools.partial(source_seqio.export, source.path))
    return dataclasses.replace(source, path=str(place), name=source.called)


def tokenizer(path: str) -> Tokenizer | None:
    """The tokenizer that a source's tokens came with; None where it is text."""
    if source_seqio.is_spool(path):
        return source_seqio.tokenizer(path)
    return source_tokens.tokenizer(path) if source_tokens.is_named(path) else None


def check(path: str) -> None:
    """Raises ConfigError where a source's path names no file."""
    if not source_seqio.is_named(path):
        _named(path)


def exists(path: str) -> bool:
    """Whether a source's path names any file."""
    return (
        path == embedded.NAME or source_seqio.is_named(path) or len(source_files.found(source_tfds.located(path))) > 0
    )


def digest(path: str) -> str:
    """SHA-256 over the names and contents of a source's files; the name of a Task of seqio, which is a program."""
    if source_seqio.is_named(path):
        return path
    total = hashlib.sha256()
    for name, file in _named(path):
        with epath.Path(file).open("rb") as stream:
            total.update(f"{name}\0{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def _named(path: str) -> list[tuple[str, pathlib.Path | epath.Path]]:
    if path == embedded.NAME:
        return embedded.files()
    return [(file.name, file.path) for file in source_files.files(source_tfds.located(path))]


def _plain_files(path: str) -> list[SourceFile]:
    """Its files, if none of them belongs to what is read as a whole: as files these would be noise."""
    files = source_files.files(path)
    names = {str(file.path.parent) for file in files if _is_mark(file.path)}
    require(
        not names,
        f"the source {path!r} holds datasets of TFDS, examples of seqio or tokens among its files. Name each as a "
        f"source of its own: {', '.join(sorted(names))}.",
    )
    return files


def _is_mark(path: epath.Path) -> bool:
    """Whether the file is the one by which its directory is known to be a dataset."""
    if path.name == source_seqio.MARK:
        return True
    if path.name == source_tokens.MARK:
        return source_tokens.is_named(str(path.parent))
    return path.name == source_tfds.MARKS[0] and source_tfds.is_dataset(path.parent)


def _file(file: SourceFile, audit: AuditConfig) -> Iterator[Document | Dropped]:
    try:
        yield from _reader(file)(file, audit)
    except (OSError, pyarrow.ArrowException) as error:
        raise OSError(f"{file.path} cannot be read to its end ({error}); copy or download it again.") from error


def _reader(file: SourceFile) -> Callable[[SourceFile, AuditConfig], Iterator[Document | Dropped]]:
    if file.name.endswith(".parquet"):
        return source_parquet.read
    return source_text.read_lines if file.plain_name.endswith(".jsonl") else source_text.read
