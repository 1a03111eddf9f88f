"""What passes between the steps: files of an archive, texts found in them, documents of a domain."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple


class File(NamedTuple):
    """A file of an archive, under the name that the pattern of its source gives it."""

    name: str
    content: bytes

    @property
    def text(self) -> str:
        """The content as UTF-8, with marks for what is not."""
        return self.content.decode("utf-8", "replace")


class Found(NamedTuple):
    """A text, and what names it within its source: a file, or the key of an entry."""

    name: str
    text: str


Reader = Callable[[Iterable[File]], Iterator[Found]]
"""Turns the files of a source into texts."""


class Document(NamedTuple):
    """A line of DOMAIN.jsonl.zst."""

    id: str
    group: str
    split: str
    text: str


def tidy(text: str) -> str:
    """Lines that end in a newline alone, at most two empty ones in a row, no NUL, no space around the whole."""
    return re.sub(r"\n{4,}", "\n\n\n", text.replace("\r\n", "\n").replace("\0", "")).strip()
