"""Tables of comma- or tab-separated values, in pieces of one length."""

from collections.abc import Iterable, Iterator

from experiments.standard_corpus.texts import File, Found

PIECE, LONGEST = 20_000, 1_500_000
"""Characters of a piece, and of a table as far as it is read."""


def read(files: Iterable[File]) -> Iterator[Found]:
    """One text per piece, named `file#first character`."""
    for file in files:
        text = file.text[:LONGEST]
        for begin in range(0, len(text), PIECE):
            yield Found(f"{file.name}#{begin}", text[begin : begin + PIECE])
