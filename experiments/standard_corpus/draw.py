"""From the texts of a source to its documents: short ones and copies go, a hash orders the rest, a limit ends it."""

import hashlib
import re
from collections.abc import Iterable, Iterator

from experiments.standard_corpus.packages import HELD_OUT
from experiments.standard_corpus.source import BY_FILE, Source
from experiments.standard_corpus.texts import Document, Found

SHORTEST = 64
"""Characters of the shortest text that is a document."""


def drawn(source: Source, texts: Iterable[Found]) -> Iterator[Document]:
    """Documents until their characters reach the source's limit."""

    def place(found: Found) -> str:
        file = found.name.partition("#")[0]
        return _sha1(source.order.format(source=source.name, name=found.name, file=file))

    if source.order == BY_FILE:
        texts = sorted(texts, key=place)  # of two copies the first in this order stays, elsewhere the first by name
    characters = 0
    for name, text in sorted(_distinct(texts), key=place):
        shown = re.sub(r"^usr/(share/doc|share|lib)/", "", name)
        group = source.group(source.name, shown)
        yield Document(f"{source.name}:{shown}", group, split_of(group, source.domain), text)
        characters += len(text)
        if source.limit and characters >= source.limit:
            return


def split_of(group: str, domain: str) -> str:
    """The split of a group: its SHA-1, modulo a thousand, cut at the domain's shares."""
    test, validation = HELD_OUT[domain]
    place = int(_sha1(group), 16) % 1000
    return "test" if place < test else "validation" if place < validation else "train"


def _distinct(texts: Iterable[Found]) -> Iterable[Found]:
    """The first of each text that is long enough."""
    first = {}
    for found in texts:
        if len(found.text) >= SHORTEST:
            first.setdefault(found.text, found)
    return first.values()


def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()
