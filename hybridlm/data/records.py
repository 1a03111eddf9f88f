"""Named fields as a document: lines of JSON, rows of Parquet and examples of TFDS mean the same by the same names."""

from collections.abc import Mapping

from hybridlm.config.errors import require
from hybridlm.data.documents import Document, Dropped

FIELDS = ("text", "id", "group", "domain", "language", "split")
"""What a record may hold; all but `text` may be missing or empty."""

SPLITS = ("train", "validation", "test")


def document(fields: Mapping[str, object], place: str, domain: str, on_bad_text: str) -> Document | Dropped:
    """The document of a record; `place` is its id and `domain` its domain unless the fields say otherwise."""
    try:
        text, name, group, own, language, split = (_string(fields.get(field)) for field in FIELDS)
    except UnicodeDecodeError:
        return bad_text(Dropped(place, "not UTF-8", len(fields["text"] or b"")), on_bad_text)
    require(
        split in ("", *SPLITS),
        f"{place}: split {split!r} is not one of {', '.join(SPLITS)}. Rename it, or leave it empty for the hash of the "
        "group to decide.",
    )
    name = name or place
    return checked(Document(name, text, group or name, own or language or domain, split), on_bad_text)


def checked(document: Document, on_bad_text: str) -> Document | Dropped:
    """The document itself, unless its text is empty or binary, or text or names cannot be written as UTF-8."""
    if not document.text or document.text.isspace():
        return Dropped(document.id, "empty", len(document.text))
    try:
        size = document.bytes
        (document.id + document.group + document.domain).encode()
    except UnicodeEncodeError:
        return bad_text(Dropped(document.id, "not UTF-8", len(document.text)), on_bad_text)
    if "\0" in document.text:
        return bad_text(Dropped(document.id, "holds NUL bytes", size), on_bad_text)
    return document


def bad_text(dropped: Dropped, on_bad_text: str) -> Dropped:
    """What was dropped for its text, or a ConfigError where the config wants one."""
    require(
        on_bad_text == "drop",
        f"{dropped.id}: {dropped.reason}, and data.on_bad_text='fail' allows no such document. Convert it to UTF-8, "
        "remove it, or set data.on_bad_text='drop' to count it and go on.",
    )
    return dropped


def _string(value: object) -> str:
    if value is None:
        return ""
    return value.decode() if isinstance(value, bytes) else str(value)
