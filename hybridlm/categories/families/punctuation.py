"""Which punctuation a token is; the first mark decides, and a token with a letter or digit is none."""

from hybridlm.categories import spelling
from hybridlm.categories.family import Family, each_token

LABELS = {
    "none": "no punctuation, or a letter or digit beside it",
    "sentence_end": "full stop, exclamation or question mark, ellipsis, in whatever role",
    "comma_semicolon_colon": "comma, semicolon or colon",
    "quote": "quotation mark or apostrophe",
    "dash": "hyphen or dash",
    "other": "any other punctuation, such as brackets, slashes, underscores",
}
_SENTENCE_END = ".!?…。！？؟।"
_SEPARATOR = ",;:，、；：،؛"
_QUOTE = "'\"‘’‚‛“”„‟«»‹›"
_DASH = "-‐‑‒–—―−"


def label(token: bytes) -> str:
    """The label of one token; it has no bytes where it is special."""
    text = spelling.text(token)
    if any(spelling.is_letter(character) or spelling.is_digit(character) for character in text):
        return "none"
    return next(filter(None, map(_mark, text)), "none")


def _mark(character: str) -> str | None:
    """The label of one character, None where it is no punctuation."""
    kinds = {"sentence_end": _SENTENCE_END, "comma_semicolon_colon": _SEPARATOR, "quote": _QUOTE, "dash": _DASH}
    other = "other" if spelling.is_punctuation(character) else None
    return next((name for name, marks in kinds.items() if character in marks), other)


FAMILY = Family(
    name="punctuation",
    question="Which punctuation is the token?",
    labels=LABELS,
    assign=each_token(label),
)
