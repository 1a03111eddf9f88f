"""What a token is in the syntax of the document's language, as Pygments lexes the whole document.

It reads broken code too. Kinds follow Pygments, whose quirks stay: `]}` of JSON is one token, keys of YAML are tags.
"""

import numpy as np
from jaxtyping import Int8
from pygments.token import (
    Comment,
    Error,
    Generic,
    Keyword,
    Literal,
    Name,
    Number,
    Operator,
    Other,
    Punctuation,
    String,
    Text,
    Token,
    _TokenType,
)

from hybridlm.categories.characters import table
from hybridlm.categories.document import Document
from hybridlm.categories.family import by_position

LABELS = {
    "not_code": "the document is in no language with a lexer",
    "keyword": "reserved word",
    "keyword_constant": "reserved word that is a value, such as True or null",
    "keyword_import": "reserved word of importing and of namespaces",
    "keyword_type": "reserved word that declares, or is a built-in type",
    "keyword_operator": "operator that is a word, such as and, not",
    "name": "name of a variable or anything else of the program",
    "name_builtin": "name that comes with the language, exceptions and self included",
    "name_function": "name of a function, where it is told from others: mostly where it is defined",
    "name_class": "name of a class, likewise",
    "name_module": "name of a module or namespace",
    "name_decorator": "decorator",
    "name_attribute": "name of an attribute in markup",
    "name_tag": "tag of markup; key of YAML or JSON",
    "string": "text of a string, quotes included",
    "string_doc": "documentation string",
    "string_escape": "escape or interpolated field within a string",
    "integer": "decimal integer",
    "float": "number with a point or exponent",
    "other_number": "number in another base or form",
    "literal": "any other literal, such as a date or an unquoted value of YAML",
    "operator": "operator made of signs",
    "punctuation": "bracket, comma, semicolon and the like",
    "comment": "comment",
    "preprocessor": "directive to a preprocessor, or a hashbang",
    "whitespace": "spaces and line breaks outside strings and comments",
    "text": "text of markup outside tags",
    "error": "what the lexer takes for a mistake",
}

_KINDS = {
    Keyword: "keyword",
    Keyword.Constant: "keyword_constant",
    Keyword.Namespace: "keyword_import",
    Keyword.Declaration: "keyword_type",
    Keyword.Type: "keyword_type",
    Operator.Word: "keyword_operator",
    Name: "name",
    Name.Builtin: "name_builtin",
    Name.Exception: "name_builtin",
    Name.Function: "name_function",
    Name.Class: "name_class",
    Name.Namespace: "name_module",
    Name.Decorator: "name_decorator",
    Name.Attribute: "name_attribute",
    Name.Tag: "name_tag",
    String: "string",
    String.Doc: "string_doc",
    String.Escape: "string_escape",
    String.Interpol: "string_escape",
    Number: "other_number",
    Number.Integer: "integer",
    Number.Float: "float",
    Literal: "literal",
    Operator: "operator",
    Punctuation: "punctuation",
    Comment: "comment",
    Comment.Preproc: "preprocessor",
    Comment.PreprocFile: "preprocessor",
    Comment.Hashbang: "preprocessor",
    Text: "text",
    Generic: "text",
    Other: "text",
    Error: "error",
    Token: "text",
}
"""Kind -> label, for all of its children too that are not named themselves."""


def label(kind: _TokenType) -> str:
    """The label of a kind of Pygments."""
    while kind not in _KINDS:
        kind = kind.parent
    return _KINDS[kind]


def compile(document: Document) -> Int8[np.ndarray, "P"]:
    """The label of every character."""
    lexed, names = document.lexed, tuple(LABELS)
    if not lexed.language:
        return np.zeros(len(document.text), np.int8)
    labels = np.array([names.index(label(kind)) for kind in lexed.kinds], np.int8)[lexed.kind_S]
    is_blank = table(str.isspace)[document.points] & (labels == names.index("text"))
    return np.where(is_blank, names.index("whitespace"), labels).astype(np.int8)


FAMILY = by_position(
    name="code",
    question="What is the token in the syntax of the document's language?",
    labels=LABELS,
    rule="majority",
    compile=compile,
)
