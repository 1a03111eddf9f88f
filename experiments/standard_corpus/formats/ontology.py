"""Terms of an ontology with their definitions, from an OBO file or from the SQLite tables of Gene Ontology."""

import contextlib
import pathlib
import re
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator

from experiments.standard_corpus.texts import File, Found


def read_obo(files: Iterable[File]) -> Iterator[Found]:
    """Name, definition and comment of every term that has a definition, a line each."""
    for file in files:
        for stanza in file.text.split("\n\n"):
            tags = dict(line.split(": ", 1) for line in reversed(stanza.splitlines()) if ": " in line)
            if stanza.startswith("[Term]") and "def" in tags:
                definition = re.sub(r'^"(.*)" \[.*$', r"\1", tags["def"])
                yield Found(tags["id"], "\n".join([tags["name"], definition, tags.get("comment", "")]).rstrip("\n"))


def read_sqlite(files: Iterable[File]) -> Iterator[Found]:
    """Name and definition of every term, a line each; where there is no definition, the line says None."""
    for file in files:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "terms.sqlite")
            path.write_bytes(file.content)
            with contextlib.closing(sqlite3.connect(path)) as connection:
                for id, term, definition in connection.execute("select go_id, term, definition from go_term"):
                    yield Found(id, f"{term}\n{definition}")
