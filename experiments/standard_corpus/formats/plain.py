"""Files that are text already: source code, reStructuredText, SQL, YAML, books; one text per file."""

import gzip
from collections.abc import Iterable, Iterator

from experiments.standard_corpus.texts import File, Found, tidy


def read(files: Iterable[File]) -> Iterator[Found]:
    """Every file, tidied; `.gz` is undone."""
    for file in files:
        plain = file._replace(content=gzip.decompress(file.content)) if file.name.endswith(".gz") else file
        yield Found(file.name, tidy(plain.text))


def read_unchanged(files: Iterable[File]) -> Iterator[Found]:
    """Every file, byte for byte."""
    return (Found(file.name, file.text) for file in files)
