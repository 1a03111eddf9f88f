"""Which script the first letter of a token is written in, as the Unicode name of the letter says."""

import unicodedata

from hybridlm.categories import spelling
from hybridlm.categories.family import Family, each_token

_SCRIPTS = {
    "latin": ("LATIN",),
    "greek": ("GREEK",),
    "cyrillic": ("CYRILLIC",),
    "arabic": ("ARABIC",),
    "hebrew": ("HEBREW",),
    "devanagari": ("DEVANAGARI",),
    "han": ("CJK",),
    "kana": ("HIRAGANA", "KATAKANA"),
    "hangul": ("HANGUL",),
}
LABELS = {
    "no_letter": "no letter, or only a piece of one",
    **{script: f"a {script.capitalize()} letter comes first" for script in _SCRIPTS},
    "other_script": "a letter of any other script comes first",
}


def label(token: bytes) -> str:
    """The label of one token; it has no bytes where it is special."""
    letter = next(filter(spelling.is_letter, spelling.text(token)), "")
    if not letter:
        return "no_letter"
    name = unicodedata.name(letter, "")
    return next((script for script, begins in _SCRIPTS.items() if name.startswith(begins)), "other_script")


FAMILY = Family(
    name="script",
    question="Which script is the token written in?",
    labels=LABELS,
    assign=each_token(label),
)
