"""Whether a token opens or closes: round, square and curly brackets, and every other mirrored pair of Unicode."""

from hybridlm.categories import spelling
from hybridlm.categories.family import Family, each_token

LABELS = {
    "none": "no bracket",
    "open": "opening brackets only",
    "close": "closing brackets only",
    "mixed": "both, as in () or )(",
}


def label(token: bytes) -> str:
    """The label of one token; it has no bytes where it is special."""
    text = spelling.text(token)
    opens, closes = any(map(spelling.is_open, text)), any(map(spelling.is_close, text))
    return {(False, False): "none", (True, False): "open", (False, True): "close", (True, True): "mixed"}[opens, closes]


FAMILY = Family(
    name="bracket",
    question="Does the token open or close a bracket?",
    labels=LABELS,
    assign=each_token(label),
)
