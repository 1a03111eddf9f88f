"""Which computer languages the name of a domain mentions, and the lexers that Pygments has for them."""

import functools
import re

from pygments.lexer import Lexer
from pygments.lexers import find_lexer_class_by_name
from pygments.token import Error
from pygments.util import ClassNotFound

_PLAIN = ("text", "output")
"""Lexers of Pygments that tell nothing apart."""

_TRIED = 4096
"""Characters on which several lexers are tried."""


def mentioned(domain: str) -> list[str]:
    """The words of a domain's name: `yaml_json` -> yaml, json."""
    return re.findall(r"[a-z0-9+#]+", domain.lower())


@functools.cache
def lexers(domain: str) -> tuple[Lexer, ...]:
    """The lexers of the languages that the domain's name mentions."""
    found = []
    for language in mentioned(domain):
        try:
            found += [] if language in _PLAIN else [find_lexer_class_by_name(language)()]
        except ClassNotFound:
            continue
    return tuple(found)


def lexer(domain: str, text: str) -> Lexer | None:
    """The one of the domain's lexers that finds the fewest errors where the text begins; None for plain prose."""
    found = lexers(domain)
    if len(found) < 2:
        return found[0] if found else None
    start = text[:_TRIED].rpartition("\n")[0] or text[:_TRIED]
    # Every JSON text is also YAML, so where both are content the narrower language is meant.
    return min(found, key=lambda lexer: (_errors(lexer, start), not lexer.name.startswith("JSON")))


def _errors(lexer: Lexer, text: str) -> int:
    return sum(len(piece) for _, kind, piece in lexer.get_tokens_unprocessed(text) if kind is Error)
