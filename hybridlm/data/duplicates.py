"""Exact duplicates: documents whose whole text another document has too, anywhere in the corpus.

Of documents with one text the first in training stays, so that no copy of it is held out; without one, the first.
"""

import hashlib
from collections.abc import Iterable, Sequence

from hybridlm.config.errors import ConfigError, require
from hybridlm.data.audit import Duplicates
from hybridlm.data.documents import Entry

REASON = "an exact duplicate"


def digest(text: str) -> bytes:
    """Half a SHA-256, 16 bytes: no two texts that differ will ever share one."""
    return hashlib.sha256(text.encode()).digest()[:16]


def pairs(entries: Sequence[Entry]) -> list[tuple[Entry, Entry]]:
    """(copy, the document that stays) for every copy, in the order given."""
    stays = {}
    for entry in sorted(entries, key=lambda entry: entry.split != "train"):
        stays.setdefault(entry.digest, entry)
    return [(entry, stays[entry.digest]) for entry in entries if stays[entry.digest] is not entry]


def counted(found: Sequence[tuple[Entry, Entry]]) -> Duplicates:
    """The account of such pairs."""
    if not found:
        return Duplicates()
    held_out = sum(copy.split != "train" and kept.split == "train" for copy, kept in found)
    copy, kept = found[0]
    return Duplicates(len(found), held_out, copy.id, kept.id)


def refuse(found: Sequence[tuple[Entry, Entry]]) -> None:
    """Raises ConfigError if there are any."""
    for copy, kept in found[:1]:
        raise ConfigError(
            f"document {copy.id!r} ({copy.split}) has the same text as {kept.id!r} ({kept.split}), the first of "
            f"{len(found)} exact duplicates, and data.audit.duplicate='fail' allows none. Remove the copies, or set "
            "data.audit.duplicate='drop' to leave them out, counted."
        )


def check_splits(before: Iterable[Entry], after: Iterable[Entry]) -> None:
    """Raises ConfigError if a split held nothing but copies."""
    lost = sorted({entry.split for entry in before} - {entry.split for entry in after})
    require(
        not lost,
        f"every document of {', '.join(lost)} has the same text as one of another split, so nothing would be left of "
        "it. Hold out other documents, or set data.audit.duplicate='keep'.",
    )
