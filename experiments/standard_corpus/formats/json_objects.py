"""JSON: objects whose values are articles, and documents of an interface written out over indented lines."""

import json
from collections.abc import Iterable, Iterator

from experiments.standard_corpus.texts import File, Found

LONGEST = 60_000
"""Characters of a document that are kept."""


def read_articles(files: Iterable[File]) -> Iterator[Found]:
    """Title, an empty line, and the extract, of `{title: {"extract": ...}}`."""
    for file in files:
        for title, entry in json.loads(file.content).items():
            yield Found(title, f"{title}\n\n{entry['extract']}".strip())


def read_indented(files: Iterable[File]) -> Iterator[Found]:
    """Every file, indented by two, up to a length."""
    for file in files:
        text = json.dumps(json.loads(file.content), indent=2, ensure_ascii=False)
        yield Found(file.name, text[:LONGEST])
