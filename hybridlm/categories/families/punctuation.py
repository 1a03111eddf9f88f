"""Which punctuation a token is: its first mark decides; letters, digits or symbols beside it make it none (`!=`)."""

from hybridlm.categories import spelling
from hybridlm.categories.family import Family, each_token

LABELS = {
    "none": "no punctuation, or a letter, digit or symbol beside it",
    "sentence_end": "full stop, exclamation or question mark, ellipsis, in whatever role",
    "comma_semicolon_colon": "comma, semicolon or colon",
    "quote": "quotation mark or apostrophe",
    "dash": "hyphen or dash",
    "other": "any other punctuation, such as brackets, slashes, underscores",
}
_SENTENCE_END = ".!?…。！？؟।"
_SEPARATOR = ",;:，、；：،؛"
_QUOTE = "'\"‘’‚‛“”„‟«»‹›"
_DASH = "-‐‑‒–—―"


def label(token: bytes) -> str:
    """The label of one token; it has no bytes where it is special."""
    marks = spelling.text(token).strip()
    return _mark(marks[0]) if marks and all(map(spelling.is_punctuation, marks)) else "none"


def _mark(character: str) -> str:
    kinds = {"sentence_end": _SENTENCE_END, "comma_semicolon_colon": _SEPARATOR, "quote": _QUOTE, "dash": _DASH}
    return next((name for name, marks in kinds.items() if character in marks), "other")


FAMILY = Family(
    name="punctuation",
    question="Which punctuation is the token?",
    labels=LABELS,
    assign=each_token(label),
)
