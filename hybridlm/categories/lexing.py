"""What Pygments says of every character of a text, lexed as a whole: no cut falls inside a string or comment."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int
from pygments.token import Comment, Literal, Name, String, Token, _TokenType

from hybridlm.categories import languages

_YAML = {Name.Constant: Literal.Scalar.Block}
"""How Pygments calls the lines of a YAML block scalar, which are no constant of the program."""


class Lexed(NamedTuple):
    """Attributes: language as Pygments names it, "" where the text has none. kind_S: number into `kinds`."""

    language: str
    kind_S: Int[np.ndarray, "S"]
    kinds: tuple[_TokenType, ...]

    def within(self, *wanted: _TokenType) -> Bool[np.ndarray, "S"]:
        """Where a character belongs to one of these kinds or of their children."""
        return np.array([any(kind in other for other in wanted) for kind in self.kinds], bool)[self.kind_S]

    @property
    def is_literal_text_S(self) -> Bool[np.ndarray, "S"]:
        """Inside strings and comments, where a bracket is only a character."""
        return self.within(String, Comment)


def lex(text: str, domain: str) -> Lexed:
    """The kinds of all characters; characters that a lexer passes over, and all of plain prose, are `Token`."""
    kinds, kind_S = {Token: 0}, np.zeros(len(text), np.int32)
    lexer = languages.lexer(domain, text)
    if lexer is None:
        return Lexed("", kind_S, tuple(kinds))
    renamed = _YAML if lexer.name == "YAML" else {}
    for begin, kind, piece in lexer.get_tokens_unprocessed(text):
        kind_S[begin : begin + len(piece)] = kinds.setdefault(renamed.get(kind, kind), len(kinds))
    return Lexed(lexer.name, kind_S, tuple(kinds))
