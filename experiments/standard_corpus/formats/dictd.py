"""Dictionaries of dictd: entries of one gzipped text, whose places an index gives in base 64."""

import gzip
import string
from collections.abc import Iterable, Iterator

from experiments.standard_corpus.texts import File, Found, tidy

_DIGITS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"


def read(files: Iterable[File]) -> Iterator[Found]:
    """One text per entry, named by the byte where it begins; several headwords of one entry give one text."""
    by_suffix = {file.name.rpartition(".")[2]: file for file in files}
    entries = gzip.decompress(by_suffix["dz"].content)
    for begin, length in dict.fromkeys(_places(by_suffix["index"].text)):
        yield Found(str(begin), tidy(entries[begin : begin + length].decode("utf-8", "replace")))


def _places(index: str) -> Iterator[tuple[int, int]]:
    for line in index.splitlines():
        headword, begin, length = line.split("\t")
        if not headword.startswith("00"):  # facts about the dictionary
            yield _number(begin), _number(length)


def _number(digits: str) -> int:
    return sum(_DIGITS.index(digit) * 64**place for place, digit in enumerate(reversed(digits)))
