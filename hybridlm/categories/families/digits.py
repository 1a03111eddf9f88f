"""How many decimal digits a token holds, in any script."""

from hybridlm.categories import spelling
from hybridlm.categories.family import Family, each_token

LABELS = {
    "none": "no digit",
    "one": "one digit",
    "two": "two digits",
    "three_or_more": "three digits or more",
}


def label(token: bytes) -> str:
    """The label of one token; it has no bytes where it is special."""
    count = sum(map(spelling.is_digit, spelling.text(token)))
    return tuple(LABELS)[min(count, 3)]


FAMILY = Family(
    name="digits",
    question="How many digits does the token hold?",
    labels=LABELS,
    assign=each_token(label),
)
