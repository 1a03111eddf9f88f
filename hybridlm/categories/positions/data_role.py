"""Keys and values of YAML and JSON: a key names what comes, a value is what a reader wants to know."""

import numpy as np
from jaxtyping import Int8
from pygments.token import Comment, Error, Name, Punctuation, Text, Token, _TokenType

from hybridlm.categories.document import Document
from hybridlm.categories.family import by_position

LABELS = {
    "no_data": "the document is neither YAML nor JSON",
    "key": "key of a mapping, quotes included",
    "value": "scalar: string, number, constant, anchor or tag",
    "structure": "bracket, comma, colon, dash and other indicators",
    "comment": "comment",
    "whitespace": "spaces and line breaks between them",
    "error": "what the lexer takes for a mistake",
}
_LANGUAGES = ("YAML", "JSON")


def label(kind: _TokenType) -> str:
    """The label of a kind of Pygments."""
    kinds = {Name.Tag: "key", Punctuation: "structure", Comment: "comment", Text: "whitespace", Error: "error"}
    return next((name for known, name in kinds.items() if kind in known), "whitespace" if kind is Token else "value")


def compile(document: Document) -> Int8[np.ndarray, "P"]:
    """The label of every character."""
    lexed, names = document.lexed, tuple(LABELS)
    if lexed.language not in _LANGUAGES:
        return np.zeros(len(document.text), np.int8)
    return np.array([names.index(label(kind)) for kind in lexed.kinds], np.int8)[lexed.kind_S]


FAMILY = by_position(
    name="data_role",
    question="Is the token part of a key or of a value of YAML or JSON?",
    labels=LABELS,
    rule="majority",
    compile=compile,
)
