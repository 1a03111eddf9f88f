"""What a token is made of, after one leading space is taken off and surrounding whitespace ignored."""

from hybridlm.categories import spelling
from hybridlm.categories.family import Family, each_token

LABELS = {
    "letters": "letters only",
    "digits": "decimal digits only",
    "mixed": "letters or digits together with each other or with anything else",
    "punctuation": "no letter or digit, and punctuation comes first",
    "symbol": "no letter or digit, and a symbol such as + = < | $ comes first",
    "whitespace": "nothing but whitespace",
    "bracket": "no letter or digit, and a bracket comes first",
    "partial_utf8": "holds a piece of a character, not the whole",
    "special": "stands for no text: begin, end, padding, mask",
}


def label(token: bytes) -> str:
    """The label of one token; it has no bytes where it is special."""
    if not token:
        return "special"
    text = spelling.text(token).strip()
    if spelling.UNDECODED in text:
        return "partial_utf8"
    if not text:
        return "whitespace"
    letters, digits = sum(map(spelling.is_letter, text)), sum(map(spelling.is_digit, text))
    if letters or digits:
        return {(len(text), 0): "letters", (0, len(text)): "digits"}.get((letters, digits), "mixed")
    return _mark(text[0])


def _mark(character: str) -> str:
    if spelling.is_open(character) or spelling.is_close(character):
        return "bracket"
    return "punctuation" if spelling.is_punctuation(character) else "symbol"


FAMILY = Family(
    name="character_type",
    question="What is the token made of?",
    labels=LABELS,
    assign=each_token(label),
)
