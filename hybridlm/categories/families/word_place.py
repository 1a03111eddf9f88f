"""Whether a token starts a word or goes on with one, as far as the token alone can tell."""

from hybridlm.categories import spelling
from hybridlm.categories.family import Family, each_token

LABELS = {
    "word_start": "a leading space, then letters",
    "continuation": "letters with no leading space: inside a word, or after a line break or a mark",
    "not_a_word": "no letter",
}


def label(token: bytes) -> str:
    """The label of one token; it has no bytes where it is special."""
    if not any(map(spelling.is_letter, spelling.text(token))):
        return "not_a_word"
    return "word_start" if token.startswith(b" ") else "continuation"


FAMILY = Family(
    name="word_place",
    question="Does the token start a word?",
    labels=LABELS,
    assign=each_token(label),
)
