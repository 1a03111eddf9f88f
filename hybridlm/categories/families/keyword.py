"""Reserved words of the language a document is written in: `for` is a keyword in Python and a plain word in prose.

A domain is taken for the languages its name mentions (`code_python`, `yaml_json`). Python answers for itself, a short
list serves where a lexer is too generous, and Pygments knows the rest.
"""

import keyword
from collections.abc import Callable

from pygments.lexers import find_lexer_class_by_name
from pygments.token import Keyword, Operator
from pygments.util import ClassNotFound

from hybridlm.categories import languages, spelling
from hybridlm.categories.family import LANGUAGE, Family
from hybridlm.categories.vocabulary import Vocabulary

LABELS = {
    "keyword": "a reserved word or literal of the document's language",
    "not_a_keyword": "any other token of a document in a language with keywords",
    "other_language": "the document's language has no keywords, or none are known",
}

_SQL = """
    add all alter and any as asc begin between by cascade case cast check collate column commit constraint create cross
    current_date current_timestamp default delete desc distinct drop else end escape except exists explain false fetch
    foreign from full function grant group having if in index inner insert intersect into is join key left like limit
    natural not null nulls offset on or order outer over partition primary procedure recursive references replace
    returning returns revoke right rollback savepoint select set table temporary then to transaction trigger true
    truncate union unique update using values view when where window with
"""
_LISTED = {
    "python": frozenset(keyword.kwlist + keyword.softkwlist) - {"_"},
    "json": frozenset({"true", "false", "null"}),
    "yaml": frozenset({"true", "false", "null", "yes", "no", "on", "off"}),
}


def assign(vocabulary: Vocabulary) -> list[list[str]]:
    """Labels by domain and id."""
    words = [spelling.text(token) for token in vocabulary.tokens]
    return [_labels(domain, words) for domain in vocabulary.domains]


def _labels(domain: str, words: list[str]) -> list[str]:
    tests = [is_keyword(language) for language in languages.mentioned(domain)]
    reserved = {word for word in words if word.isidentifier() and any(test(word) for test in tests)}
    other = "not_a_keyword" if reserved else "other_language"
    return ["keyword" if word in reserved else other for word in words]


def is_keyword(language: str) -> Callable[[str], bool]:
    """The test for reserved words of one language; always False where the language is unknown."""
    if language == "sql":
        reserved = frozenset(_SQL.split())
        return lambda word: word.lower() in reserved
    if language in _LISTED:
        return _LISTED[language].__contains__
    try:
        lexer = find_lexer_class_by_name(language)()
    except ClassNotFound:
        return lambda word: False
    return lambda word: any(kind in Keyword or kind in Operator.Word for kind, _ in lexer.get_tokens(word))


FAMILY = Family(
    name="keyword",
    question="Is the token a keyword of the document's language?",
    labels=LABELS,
    assign=assign,
    column=LANGUAGE,
)
