"""Named fields as a document: lines of JSON, rows of Parquet and examples of TFDS mean the same by the same names."""

from collections.abc import Mapping

from hybridlm.config.errors import require
from hybridlm.config.sources import FAIL, KEEP, AuditConfig
from hybridlm.data.documents import Document, Dropped

FIELDS = ("text", "id", "group", "domain", "language", "split")
"""What a record may hold; all but `text` may be missing or empty."""

SPLITS = ("train", "validation", "test")


REASONS = {
    "empty": "empty",
    "not_utf8": "not UTF-8",
    "nul": "holds NUL bytes",
    "over_long": "over-long",
    "unknown_ids": "holds ids outside the vocabulary",
}
"""Finding, as `AuditConfig` calls it -> how the account of drops does."""

FIXES = {
    "empty": "Remove it",
    "not_utf8": "Convert it to UTF-8, remove it",
    "nul": "Remove the NUL bytes or the document",
    "over_long": "Shorten it, raise data.audit.longest",
    "unknown_ids": "Take the tokenizer that wrote the ids, or repair the file",
}


def document(fields: Mapping[str, object], place: str, domain: str, audit: AuditConfig) -> Document | Dropped:
    """The document of a record; `place` is its id and `domain` its domain unless the fields say otherwise."""
    try:
        text, name, group, own, language, split = (_string(fields.get(field)) for field in FIELDS)
    except UnicodeDecodeError:
        return left_out(Dropped(place, REASONS["not_utf8"], len(fields["text"] or b"")), audit)
    require(
        split in ("", *SPLITS),
        f"{place}: split {split!r} is not one of {', '.join(SPLITS)}. Rename it, or leave it empty for the hash of the "
        "group to decide.",
    )
    name = name or place
    return checked(Document(name, text, group or name, own or language or domain, split), audit)


def checked(document: Document, audit: AuditConfig) -> Document | Dropped:
    """The document itself, or why it is left out where `audit` does not keep what is wrong with it."""
    if not document.text or document.text.isspace():
        return left_out(Dropped(document.id, REASONS["empty"], len(document.text)), audit)
    try:
        size = document.bytes
        (document.id + document.group + document.domain).encode()
    except UnicodeEncodeError:
        return left_out(Dropped(document.id, REASONS["not_utf8"], len(document.text)), audit)
    for finding, is_found in (("nul", "\0" in document.text), ("over_long", 0 < audit.longest < size)):
        if is_found and getattr(audit, finding) != KEEP:
            return left_out(Dropped(document.id, REASONS[finding], size), audit)
    return document


def left_out(dropped: Dropped, audit: AuditConfig) -> Dropped:
    """What was dropped, or a ConfigError where the config allows no such document."""
    finding = next(name for name, reason in REASONS.items() if reason == dropped.reason)
    require(
        getattr(audit, finding) != FAIL,
        f"{dropped.id}: {dropped.reason}, and data.audit.{finding}='fail' allows no such document. {FIXES[finding]}, "
        f"or set data.audit.{finding}='drop' to count it and go on.",
    )
    return dropped


def _string(value: object) -> str:
    if value is None:
        return ""
    return value.decode() if isinstance(value, bytes) else str(value)
