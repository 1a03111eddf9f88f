"""The Brown corpus: words with a part of speech after a slash, written as running text again."""

import re
from collections.abc import Iterable, Iterator

from experiments.standard_corpus.texts import File, Found, tidy

_STEPS = (
    (r"(\S+)/\S+", r"\1"),  # word/tag
    (r" ([.,;:?!])", r"\1"),
    (r"`` ", '"'),
    (r" ''", '"'),
    (r"\n\t", "\n"),  # the first sentence of a paragraph
)


def read(files: Iterable[File]) -> Iterator[Found]:
    """One text per file, one sentence per line."""
    for file in files:
        text = file.text
        for pattern, replacement in _STEPS:
            text = re.sub(pattern, replacement, text)
        yield Found(file.name, tidy(text))
