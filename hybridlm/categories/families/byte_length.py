"""How many bytes of text a token stands for: long ones save a model work, and make nats per token hard to compare."""

import bisect

from hybridlm.categories.family import Family, each_token

LABELS = {
    "none": "stands for no text: begin, end, padding, mask",
    "1": "one byte",
    "2": "two bytes",
    "3_4": "three or four bytes",
    "5_8": "five to eight bytes",
    "9_or_more": "nine bytes or more",
}
_LAST = (0, 1, 2, 4, 8)


def label(token: bytes) -> str:
    """The label of one token; it has no bytes where it is special."""
    return tuple(LABELS)[bisect.bisect_left(_LAST, len(token))]


FAMILY = Family(
    name="byte_length",
    question="How many bytes of text does the token stand for?",
    labels=LABELS,
    is_ordered=True,
    assign=each_token(label),
)
