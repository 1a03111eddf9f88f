"""A document, with its text and without, a document that was left out, and the account of what was left out and why."""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Int


class Document(NamedTuple):
    """One text with the names by which it is split, scored and reported.

    Attributes:
      id: where it was read. group: the unit that a split never divides (folder, package, article). domain: its language
        or subject. split: "train", "validation" or "test" where the source decides, "" where the group's hash does.
      ids: the tokens it came as, which stand for exactly this text; None where there is only text.
    """

    id: str
    text: str
    group: str
    domain: str
    split: str = ""
    ids: Int[np.ndarray, "T"] | None = None

    @property
    def bytes(self) -> int:
        """Length of the text in UTF-8."""
        return len(self.text) if self.text.isascii() else len(self.text.encode())


class Entry(NamedTuple):
    """A document without its text.

    Attributes:
      place: counts everything the sources yield. source: number of its source. digest: of its text.
    """

    place: int
    source: int
    id: str
    group: str
    domain: str
    split: str
    bytes: int
    digest: bytes


class Dropped(NamedTuple):
    """Something a source holds that cannot be a document, and why."""

    id: str
    reason: str
    bytes: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Drops:
    """How much was left out for one reason, with one document as an example."""

    documents: int
    bytes: int
    tokens: int
    sample: str


Account = dict[str, Drops]
"""Reason -> what was left out for it."""


def merged(*accounts: Account) -> Account:
    """One account of all; the first example of a reason stays."""
    total = {}
    for account in accounts:
        for reason, more in account.items():
            had = total.get(reason, Drops(documents=0, bytes=0, tokens=0, sample=more.sample))
            sums = (getattr(had, name) + getattr(more, name) for name in ("documents", "bytes", "tokens"))
            total[reason] = Drops(*sums, sample=had.sample)
    return total


def count(account: Account, dropped: Dropped, *, tokens: int = 0) -> None:
    """Enters one more drop; `tokens` where the text had already been encoded."""
    so_far = account.get(dropped.reason, Drops(documents=0, bytes=0, tokens=0, sample=dropped.id))
    account[dropped.reason] = Drops(
        documents=so_far.documents + 1,
        bytes=so_far.bytes + dropped.bytes,
        tokens=so_far.tokens + tokens,
        sample=so_far.sample,
    )
